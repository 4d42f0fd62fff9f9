"""Scoring answer sets with a predictor: its inputs, their checks, and the scores."""
