"""Checks of the inputs that every metric takes: P(correct) and whether the answer is right; both become float64."""

from __future__ import annotations

import torch
from torch import Tensor


def check_inputs(probs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Check probabilities and labels, and return both as float64.

    Args:
        probs: P(correct) of each answer, any real dtype, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, any real dtype, shape ``(n,)``.

    Raises:
        ValueError: If ``probs`` or ``labels`` is not as described; the message names the argument and the value.
    """
    if probs.ndim == 1 and labels.shape != probs.shape:
        raise ValueError(f"`labels`: expected the shape of `probs`, {tuple(probs.shape)}, got {tuple(labels.shape)}")
    probs = check_probs(probs)
    labels = as_float64(labels)
    wrong = (labels != 0) & (labels != 1)
    if wrong.any():
        raise ValueError(f"`labels`: expected 0 or 1, got {describe_wrong(labels, wrong)}")
    return probs, labels


def check_probs(probs: Tensor) -> Tensor:
    """Check probabilities, and return them as float64.

    Args:
        probs: P(correct) of each answer, any real dtype, shape ``(n,)``, in [0, 1].

    Raises:
        ValueError: If ``probs`` is not as described; the message names the value.
    """
    if probs.ndim != 1:
        raise ValueError(f"`probs`: expected a tensor of shape (n,), got shape {tuple(probs.shape)}")
    if probs.numel() == 0:
        raise ValueError("`probs`: expected at least one answer, got an empty tensor")
    probs = as_float64(probs)
    outside = ~((probs >= 0) & (probs <= 1))  # true for NaN, which compares false with everything
    if outside.any():
        raise ValueError(f"`probs`: expected probabilities in [0, 1], got {describe_wrong(probs, outside)}")
    return probs


def check_count(name: str, value: int) -> None:
    """Check that a number of bins or resamples is a positive integer.

    Args:
        name: Name of the argument, for the message.
        value: Value of the argument.

    Raises:
        ValueError: If it is not; the message names the argument and the value.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"`{name}`: expected a positive integer, got {value!r}")


def check_proportion(name: str, value: float) -> None:
    """Check that a proportion of answers is in (0, 1].

    Args:
        name: Name of the argument, for the message.
        value: Value of the argument.

    Raises:
        ValueError: If it is not; the message names the argument and the value.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ValueError(f"`{name}`: expected a number in (0, 1], got {value!r}")


def float64_device(device: torch.device) -> torch.device:
    """The device itself if it supports float64, else the CPU (Apple's MPS does not)."""
    return torch.device("cpu") if device.type == "mps" else device


def as_float64(values: Tensor) -> Tensor:
    """Convert to float64, on the CPU if the device does not support it."""
    return values.to(float64_device(values.device)).to(torch.float64)


def describe_wrong(values: Tensor, wrong: Tensor) -> str:
    """Describe the first wrong value and count all of them, for a message.

    Args:
        values: All values, shape ``(n,)``.
        wrong: Whether each value is wrong, bool of shape ``(n,)``; at least one is.
    """
    first = int(wrong.nonzero()[0])
    return f"{values[first].item()} at index {first} ({int(wrong.sum())} of {len(values)} values are wrong)"
