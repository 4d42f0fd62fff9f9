"""Inputs of the scores: answer sets with their vectors, similarities, NLI judgements and log-probabilities."""
