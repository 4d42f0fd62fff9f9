"""Verbs that collect answers and vectors."""
