"""Independent references for tests of the GP."""

from __future__ import annotations

from torch import Tensor

from sgpu_lightning.gp.classifier import GPClassifier
from sgpu_lightning.gp.frozen.prediction import Prediction


def gpytorch_prediction(classifier: GPClassifier, features: Tensor) -> Prediction:
    """The prediction with the latent mean and variance that GPyTorch's own variational strategy gives."""
    latent = classifier.latent(classifier.standardise(features))
    return Prediction.from_latent(latent.mean, latent.variance)
