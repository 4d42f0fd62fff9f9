"""How well P(correct) does: comparison with other scores, and transfer to other models and data."""
