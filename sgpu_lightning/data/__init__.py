"""Answer sets as Lightning data."""
