"""Sampling from a local model through transformers."""
