"""Checks of the inputs that every metric takes: P(correct) and whether the answer is right; both become float64."""

from __future__ import annotations

import torch
from torch import Tensor

# Probabilities that agree to this many decimals count as equal. The same number computed in two ways differs by
# round-off (1 - 0.8 and 0.2 differ by 5e-17), which would break ties and move answers across the edge of a bin.
DECIMALS = 12


def check_inputs(probs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Check probabilities and labels, and return both as float64.

    Args:
        probs: P(correct) of each answer, any real dtype, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, any real dtype, shape ``(n,)``.

    Raises:
        ValueError: Naming ``probs`` or ``labels``, what was expected and what was got.
    """
    if probs.ndim == 1 and labels.shape != probs.shape:
        raise ValueError(f"`labels`: expected the shape of `probs`, {tuple(probs.shape)}, got {tuple(labels.shape)}")
    probs = check_probs(probs)
    labels = _as_float64(labels)
    wrong = (labels != 0) & (labels != 1)
    if wrong.any():
        raise ValueError(f"`labels`: expected 0 or 1, got {_describe(labels, wrong)}")
    return probs, labels


def check_probs(probs: Tensor) -> Tensor:
    """Check probabilities, and return them as float64.

    Args:
        probs: P(correct) of each answer, any real dtype, shape ``(n,)``, in [0, 1].

    Raises:
        ValueError: Naming ``probs``, what was expected and what was got.
    """
    if probs.ndim != 1:
        raise ValueError(f"`probs`: expected a tensor of shape (n,), got shape {tuple(probs.shape)}")
    if probs.numel() == 0:
        raise ValueError("`probs`: expected at least one answer, got an empty tensor")
    probs = _as_float64(probs)
    outside = ~((probs >= 0) & (probs <= 1))  # true for NaN, which compares false with everything
    if outside.any():
        raise ValueError(f"`probs`: expected probabilities in [0, 1], got {_describe(probs, outside)}")
    return probs


def check_count(name: str, value: int) -> None:
    """Check that a number of bins or resamples is a positive integer.

    Args:
        name: Name of the argument, for the message.
        value: What was passed.

    Raises:
        ValueError: Naming the argument and what was got.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"`{name}`: expected a positive integer, got {value!r}")


def check_proportion(name: str, value: float) -> None:
    """Check that a proportion of answers is in (0, 1].

    Args:
        name: Name of the argument, for the message.
        value: What was passed.

    Raises:
        ValueError: Naming the argument and what was got.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ValueError(f"`{name}`: expected a number in (0, 1], got {value!r}")


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
    values = _as_float64(scores)
    if not values.isfinite().all():
        raise ValueError(f"`scores`: expected finite numbers, got {_describe(values, ~values.isfinite())}")
    scale = values.abs().max().clamp_min(torch.finfo(torch.float64).tiny)
    distinct, tie = torch.unique((values / scale).round(decimals=10), return_inverse=True)
    return tie.double() / max(1, len(distinct) - 1)


def float64_device(device: torch.device) -> torch.device:
    """The device itself if it supports float64, else the CPU (Apple's MPS does not)."""
    return torch.device("cpu") if device.type == "mps" else device


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


def _as_float64(values: Tensor) -> Tensor:
    return values.to(float64_device(values.device)).to(torch.float64)


def _describe(values: Tensor, wrong: Tensor) -> str:
    first = int(wrong.nonzero()[0])
    return f"{values[first].item()} at index {first} ({int(wrong.sum())} of {len(values)} values are wrong)"
