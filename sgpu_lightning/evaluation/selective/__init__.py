"""Answering only where it is safe enough."""
