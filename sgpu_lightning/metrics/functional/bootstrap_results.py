"""Results of a bootstrap: intervals of a metric, and comparisons of two predictors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Interval:
    """A metric with its bootstrap interval.

    Args:
        value: The metric on the answers themselves.
        low: Lower end of the interval.
        high: Upper end of the interval.

    Example:
        >>> from sgpu_lightning.metrics.functional import Interval
        >>> print(Interval(0.75, 0.71, 0.79))
        0.750 [0.710, 0.790]

    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Comparison:
    """Difference between two predictors on the same answers.

    Args:
        difference: The first predictor's metric minus the second's.
        low: Lower end of the interval of the difference.
        high: Upper end of the interval of the difference.
        p_value: Two-sided p-value: the probability of a difference at least as far from 0 if there is none.
        better: Whether the first predictor is better and the interval excludes 0.
        worse: Whether the first predictor is worse and the interval excludes 0.

    Example:
        >>> from sgpu_lightning.metrics.functional import Comparison
        >>> Comparison(0.02, 0.01, 0.03, 0.002, better=True, worse=False).better
        True

    """

    difference: float
    low: float
    high: float
    p_value: float
    better: bool
    worse: bool


def compare_resampled(
    values: Tensor, resampled: Tensor, first: int, second: int, *, lower_is_better: bool, confidence: float = 0.95
) -> Comparison:
    """Compare two of the predictors that `bootstrap` evaluated.

    Args:
        values: The metric of each predictor, [P].
        resampled: The metric of each predictor on every resample, [P, R].
        first: Index of the first predictor.
        second: Index of the second predictor.
        lower_is_better: Whether a lower metric is better.
        confidence: Confidence of the interval, in (0, 1].

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics.functional.bootstrap_results import compare_resampled
        >>> resampled = tensor([[0.1, 0.2, 0.1], [0.3, 0.3, 0.4]]).double()
        >>> compare_resampled(tensor([0.1, 0.3]), resampled, 0, 1, lower_is_better=True).better
        True

    """
    differences = resampled[first] - resampled[second]
    low, high = percentile_ends(differences, confidence)
    above, below = (high < 0, low > 0) if lower_is_better else (low > 0, high < 0)
    difference = (values[first] - values[second]).item()
    return Comparison(difference, low, high, _p_value(differences), better=above, worse=below)


def percentile_ends(resampled: Tensor, confidence: float) -> tuple[float, float]:
    """Ends of the percentile interval of resampled values, nan values left out; nan if none is left.

    Args:
        resampled: A metric or a difference on every resample, float64 [R].
        confidence: Confidence of the interval, in (0, 1].
    """
    known = resampled[~resampled.isnan()]
    if not len(known):
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = torch.quantile(known, torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return low, high


def _p_value(differences: Tensor) -> float:
    known = differences[~differences.isnan()]
    if not len(known):
        return float("nan")
    # Plus one on both counts, because the answers themselves are a resample too: a p-value is never 0.
    sides = [(int(side.sum()) + 1) / (len(known) + 1) for side in (known <= 0, known >= 0)]
    return min(1.0, 2 * min(sides))
