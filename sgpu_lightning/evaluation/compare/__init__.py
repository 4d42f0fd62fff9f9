"""SGPU against every other score."""
