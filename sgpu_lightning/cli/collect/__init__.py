"""Collect answers, labels and vectors."""
