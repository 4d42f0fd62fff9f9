"""Selective answering: certified thresholds on P(correct)."""
