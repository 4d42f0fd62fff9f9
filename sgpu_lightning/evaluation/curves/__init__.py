"""Learning curves over labels and answers."""
