"""Learning curves over numbers of labels, and curves over numbers of answers."""
