"""Evaluate methods over many answer sets."""
