"""Making a predictor from a fitted module: freezing it and measuring it on its data."""
