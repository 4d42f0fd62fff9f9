"""Counts of right and wrong answers at each distinct P(correct), for many bootstrap resamples at once.

Every metric that can be bootstrapped depends only on how many right and wrong answers there are at each distinct
P(correct). A resample with replacement is therefore a row of counts, and a metric of a thousand resamples costs a few
matrix operations. The answers themselves are the single row of one resample. Tied answers are counted together, which
averages a metric over the orders of ties.

Shapes: R resamples, T distinct values of P(correct) (groups of ties), n answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sgpu_lightning.metrics.functional.probability_checks import check_inputs
from sgpu_lightning.metrics.functional.ties import drop_round_off

# A product such as coverage * n counts as a whole number of answers if it misses one by less than this.
SLACK = 1e-9


@dataclass(frozen=True)
class Tally:
    """Counted answers.

    Args:
        probs: Distinct values of P(correct), ascending, float64 [T], on the CPU.
        right: Number of right answers in each group of ties, float64 [R, T].
        wrong: Number of wrong answers in each group of ties, float64 [R, T].
    """

    probs: Tensor
    right: Tensor
    wrong: Tensor

    @classmethod
    def of(cls, probs: Tensor, labels: Tensor, counts: Tensor | None = None) -> Tally:
        """Count answers whose probabilities and labels have been checked.

        Args:
            probs: P(correct), float64 [n].
            labels: 1 if the answer is right else 0, float64 [n].
            counts: How often each answer occurs in each resample, float64 [R, n]; None for one resample that holds
                every answer once.
        """
        # On the CPU: CUDA's cumulative sum is refused where the trainer asks for deterministic algorithms.
        probs, labels = probs.cpu(), labels.cpu()
        distinct, tie = torch.unique(drop_round_off(probs), return_inverse=True)
        weights = torch.ones(1, len(probs), dtype=torch.float64) if counts is None else counts
        zeros = weights.new_zeros(len(weights), len(distinct))
        right = zeros.index_add(1, tie, weights * labels)
        return cls(distinct, right, zeros.index_add(1, tie, weights) - right)

    @cached_property
    def size(self) -> Tensor:
        """Number of answers in each group of ties, [R, T]."""
        return self.right + self.wrong

    @cached_property
    def total(self) -> Tensor:
        """Number of answers in each resample, [R]."""
        return self.size.sum(1)

    @cached_property
    def from_top(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Groups of ties from the most confident one down, [R, T] each.

        Number of answers in the group, right answers in it, answers above it, and right answers above it.
        """
        size, right = self.size.flip(1), self.right.flip(1)
        return size, right, size.cumsum(1) - size, right.cumsum(1) - right

    @cached_property
    def tie_accuracy(self) -> Tensor:
        """Proportion of right answers in each group of ties from the top, 0 for an empty group, [R, T]."""
        size, right, _, _ = self.from_top
        return right / size.clamp_min(1.0)


def tally(probs: Tensor, labels: Tensor) -> Tally:
    """Check answers and count each of them once.

    Args:
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.

    Raises:
        ValueError: If ``probs`` or ``labels`` is not as described, or there are no answers.
    """
    return Tally.of(*check_inputs(probs, labels))


def right_of_top(counted: Tally, places: Tensor) -> Tensor:
    """Expected number of right answers among the k most confident.

    Args:
        counted: The answers.
        places: Values of k, float64 [R, K], each from 1 to the number of answers in the resample.

    Returns:
        Float64 [R, K].
    """
    size, _, above, right_above = counted.from_top
    tie = torch.searchsorted(above + size, places)
    start, accuracy, right = (values.gather(1, tie) for values in (above, counted.tie_accuracy, right_above))
    return right + accuracy * (places - start)


def least_kept(total: Tensor, max_rejection: float) -> Tensor:
    """Number of answers that are kept at the greatest rejection, [R, 1].

    Args:
        total: Number of answers in each resample, [R].
        max_rejection: The greatest proportion of answers rejected, in (0, 1].
    """
    return (total - (max_rejection * total + SLACK).floor()).unsqueeze(1)


def harmonic_numbers(total: Tensor) -> Tensor:
    """Harmonic numbers H_0 = 0, H_1, ... up to the greatest of the totals [R]."""
    numbers = torch.arange(1, int(total.max()) + 1, dtype=torch.float64).reciprocal()
    return torch.cat([numbers.new_zeros(1), numbers.cumsum(0)])
