"""Evaluation of P(correct): comparison with other scores, transfer, learning curves and certified thresholds."""
