"""The approximate Gaussian process classifier: P(correct) from features of answer sets."""
