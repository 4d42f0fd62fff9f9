"""Verbs that evaluate methods over many answer sets."""
