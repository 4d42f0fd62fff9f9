"""Errors raised by this package's predictors."""

from __future__ import annotations

from sgpu_lightning.errors import SGPUError


class PredictorError(SGPUError):
    """A predictor cannot be loaded, cannot be written, or does not accept its input."""


class SchemaError(PredictorError):
    """JSON lacks the expected keys or types; the message names the key."""
