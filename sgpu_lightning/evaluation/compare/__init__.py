"""Comparison of SGPU with every other score."""
