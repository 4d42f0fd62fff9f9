"""Fitting on one model or dataset, evaluating on another."""
