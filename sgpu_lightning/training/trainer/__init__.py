"""Helpers for Lightning's Trainer in a fit: when it stops, its progress bar, its environment variables."""
