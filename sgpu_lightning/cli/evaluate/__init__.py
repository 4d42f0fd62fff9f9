"""Evaluate methods on many answer sets."""
