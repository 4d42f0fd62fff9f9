"""Ties: which probabilities or scores count as equal, and averages over the orders of equal ones."""

from __future__ import annotations

import torch
from torch import Tensor

from sgpu_lightning.metrics.functional.probability_checks import as_float64, describe_wrong

# Probabilities that agree to this many decimals count as equal. The same number computed in two ways differs by
# round-off (1 - 0.8 and 0.2 differ by 5e-17), which would break ties and move answers across the edge of a bin.
DECIMALS = 12


def drop_round_off(probs: Tensor) -> Tensor:
    """Round to `DECIMALS`, so that equal probabilities compare equal; shape ``(n,)``."""
    return probs.round(decimals=DECIMALS)


def average_over_ties(probs: Tensor, values: Tensor) -> Tensor:
    """Sort values by probability and replace each by its mean over all orders of tied probabilities.

    Args:
        probs: Probabilities to sort by, float64 of shape ``(n,)``; see `DECIMALS` for which count as tied.
        values: Values to average, float64 of shape ``(n,)``.

    Returns:
        The values by ascending probability, each replaced by the mean of its group of ties, shape ``(n,)``. Its partial
        sums are the expected partial sums under a random order of the ties.
    """
    distinct, tie, size = torch.unique(drop_round_off(probs), return_inverse=True, return_counts=True)
    sums = values.new_zeros(len(distinct)).index_add(0, tie, values)
    return (sums / size).repeat_interleave(size)


def unit_ranks(scores: Tensor) -> Tensor:
    """Map scores of any scale to [0, 1] in their order, so that a ranking metric takes them in place of P(correct).

    Scores are divided by the greatest magnitude among them; those that then agree to ten decimals are ties and get the
    same value. The result is not calibrated.

    Args:
        scores: Higher = more confident, finite, any real dtype, shape ``(n,)``.

    Returns:
        Float64 of shape ``(n,)``.

    Raises:
        ValueError: If scores are not as described.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics.functional import unit_ranks
        >>> unit_ranks(tensor([-3.0, 20.0, -3.0, 5.0]))
        tensor([0.0000, 1.0000, 0.0000, 0.5000], dtype=torch.float64)

    """
    if scores.ndim != 1 or not len(scores):
        raise ValueError(f"`scores`: expected a tensor of shape (n,) with n > 0, got shape {tuple(scores.shape)}")
    values = as_float64(scores)
    if not values.isfinite().all():
        raise ValueError(f"`scores`: expected finite numbers, got {describe_wrong(values, ~values.isfinite())}")
    scale = values.abs().max().clamp_min(torch.finfo(torch.float64).tiny)
    distinct, tie = torch.unique((values / scale).round(decimals=10), return_inverse=True)
    return tie.double() / max(1, len(distinct) - 1)
