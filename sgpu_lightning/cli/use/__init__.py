"""Verbs around the portable predictor."""
