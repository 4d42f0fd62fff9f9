"""Sentence encoders for the black-box setting, and caches of their embeddings."""
