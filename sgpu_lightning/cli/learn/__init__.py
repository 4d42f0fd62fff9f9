"""Verbs that fit and evaluate one predictor, by LightningCLI."""
