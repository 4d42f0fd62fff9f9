"""Learn P(correct)."""
