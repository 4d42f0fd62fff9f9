"""The approximate Gaussian process classifier."""
