"""Standardisation of features by their mean and standard deviation over answer sets."""

from __future__ import annotations

import torch
from torch import Tensor

_CONSTANT = 1e-8  # a feature whose standard deviation is below this counts as constant


def mean_and_scale(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature [n, F], each [F]; the scale of a constant feature is 1.

    Dividing a constant feature by its round-off error would make it look informative.
    """
    scale = features.std(0, correction=0)
    return features.mean(0), torch.where(scale > _CONSTANT, scale, torch.ones_like(scale))


def standardised(features: Tensor) -> Tensor:
    """Features [n, F] with their mean subtracted, in units of their standard deviation."""
    mean, scale = mean_and_scale(features)
    return (features - mean) / scale
