"""The units of features: their mean and spread over answer sets."""

from __future__ import annotations

import torch
from torch import Tensor

_CONSTANT = 1e-8  # spread of a feature below which it carries nothing


def mean_and_scale(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature [n, F], each [F]; the scale of a constant feature is 1.

    Dividing a constant feature by its round-off would make it look informative.
    """
    scale = features.std(0, correction=0)
    return features.mean(0), torch.where(scale > _CONSTANT, scale, torch.ones_like(scale))


def standardised(features: Tensor) -> Tensor:
    """Features [n, F] in units of their own spread."""
    mean, scale = mean_and_scale(features)
    return (features - mean) / scale
