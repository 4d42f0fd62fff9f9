"""Right and wrong answers counted at each level of P(correct), for many resamples at once, and metrics of the counts.

All metrics here depend on nothing but how many right and wrong answers there are at each distinct P(correct). Counting
turns a resample with replacement into a row of numbers, so that a thousand of them cost a few matrix operations; the
answers as they are make the row of a single resample. Ties share a level, which averages over their orders.

Shapes: R resamples, L levels, n answers.

References:
    [Malinin2017] Malinin et al., "Incorporating Uncertainty into Deep Learning for Spoken Language Assessment", ACL
    2017 (the prediction-rejection ratio).
    [Geifman2017] Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017 (risk and
    coverage).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sgpu_lightning.metrics.functional.checks import check_inputs, drop_round_off
from sgpu_lightning.metrics.functional.proper_scores import EPSILON

# A share of answers that misses a whole number of them by less is that number.
_SLACK = 1e-9


@dataclass(frozen=True)
class Tally:
    """Answers counted.

    Args:
        levels: Distinct values of P(correct), ascending, float64 [L], on the CPU.
        right: Right answers at each level, float64 [R, L].
        wrong: Wrong answers at each level, float64 [R, L].
    """

    levels: Tensor
    right: Tensor
    wrong: Tensor

    @classmethod
    def of(cls, probs: Tensor, labels: Tensor, counts: Tensor | None = None) -> Tally:
        """Count checked answers.

        Args:
            probs: P(correct), float64 [n].
            labels: 1 if the answer is right else 0, float64 [n].
            counts: How often each answer is in each resample, float64 [R, n]; None for once, with R = 1.
        """
        # On the CPU: CUDA's cumulative sum is refused where the trainer asks for deterministic algorithms.
        probs, labels = probs.cpu(), labels.cpu()
        levels, level = torch.unique(drop_round_off(probs), return_inverse=True)
        weights = torch.ones(1, len(probs), dtype=torch.float64) if counts is None else counts
        zeros = weights.new_zeros(len(weights), len(levels))
        right = zeros.index_add(1, level, weights * labels)
        return cls(levels, right, zeros.index_add(1, level, weights) - right)

    @cached_property
    def size(self) -> Tensor:
        """Answers at each level, [R, L]."""
        return self.right + self.wrong

    @cached_property
    def total(self) -> Tensor:
        """Answers of each resample, [R]."""
        return self.size.sum(1)

    @cached_property
    def top(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """From the most confident level down: answers and right ones at it, and above it; [R, L] each."""
        size, right = self.size.flip(1), self.right.flip(1)
        return size, right, size.cumsum(1) - size, right.cumsum(1) - right

    @cached_property
    def slope(self) -> Tensor:
        """Share of right answers at each level from the top, 0 where there are none, [R, L]."""
        size, right, _, _ = self.top
        return right / size.clamp_min(1.0)


def tally(probs: Tensor, labels: Tensor) -> Tally:
    """Check answers and count them once.

    Raises:
        ValueError: If ``probs`` or ``labels`` is not as described, or there are no answers.
    """
    return Tally.of(*check_inputs(probs, labels))


def brier(counted: Tally) -> Tensor:
    """Mean squared distance of P(correct) from the label, [R]."""
    p = counted.levels
    return (counted.right @ (1 - p).square() + counted.wrong @ p.square()) / counted.total


def nll(counted: Tally) -> Tensor:
    """Mean negative log-likelihood of the labels in nats, [R]."""
    p = counted.levels.clamp(EPSILON, 1 - EPSILON)
    return -(counted.right @ p.log() + counted.wrong @ (-p).log1p()) / counted.total


def ece(counted: Tally, num_bins: int = 15) -> Tensor:
    """Calibration error in bins of equal width, [R]."""
    edges = torch.arange(1, num_bins, dtype=torch.float64) / num_bins
    bins = torch.bucketize(counted.levels, drop_round_off(edges), right=True)
    gaps = counted.right - counted.size * counted.levels
    return gaps.new_zeros(len(gaps), num_bins).index_add(1, bins, gaps).abs().sum(1) / counted.total


def ace(counted: Tally, num_bins: int = 15) -> Tensor:
    """Calibration error in bins of equally many answers, [R]."""
    gaps = counted.right - counted.size * counted.levels
    ends, sums = counted.size.cumsum(1), gaps.cumsum(1)
    # Bin b starts at the first rank that is at least b n / B.
    steps = torch.arange(num_bins + 1, dtype=torch.float64)
    edges = (steps * counted.total.unsqueeze(1) / num_bins - _SLACK).ceil().clamp_min(0.0)
    level = torch.searchsorted(ends, edges).clamp_max(ends.shape[1] - 1)
    size, gap, end, total = (values.gather(1, level) for values in (counted.size, gaps, ends, sums))
    # Up to a rank within a level, its answers count with their mean.
    up_to = total - gap * (end - edges) / size.clamp_min(1.0)
    return up_to.diff(dim=1).abs().sum(1) / counted.total


def accuracy(counted: Tally) -> Tensor:
    """Share of right answers, [R]."""
    return counted.right.sum(1) / counted.total


def auroc(counted: Tally) -> Tensor:
    """Area under the ROC curve, [R]; NaN where all answers are right or all are wrong."""
    below = counted.wrong.cumsum(1) - counted.wrong
    pairs = (counted.right * (below + counted.wrong / 2)).sum(1)
    return pairs / (counted.right.sum(1) * counted.wrong.sum(1))


def right_of_top(counted: Tally, places: Tensor) -> Tensor:
    """Expected right answers among the k most confident.

    Args:
        counted: The answers.
        places: Values of k, float64 [R, K], each from 1 to the resample's number of answers.

    Returns:
        [R, K].
    """
    size, _, above, right_above = counted.top
    level = torch.searchsorted(above + size, places)
    start, slope, right = (values.gather(1, level) for values in (above, counted.slope, right_above))
    return right + slope * (places - start)


def auarc(counted: Tally, max_rejection: float = 1.0) -> Tensor:
    """Mean accuracy of the k most confident answers, over the k that reject at most a share of all, [R]."""
    size, _, above, right_above = counted.top
    least = _least_kept(counted.total, max_rejection)
    low, high = torch.maximum(above, least), torch.maximum(above + size, least)
    # Within a level the accuracy of the top k is (a + s k) / k: a sum of harmonic numbers.
    harmonic = _harmonic(counted.total)
    rest = right_above - counted.slope * above
    sums = rest * (harmonic[high.long()] - harmonic[low.long()]) + counted.slope * (high - low)
    return sums.sum(1) / (counted.total - least.squeeze(1))


def best_auarc(counted: Tally, max_rejection: float = 1.0) -> Tensor:
    """The `auarc` of a predictor that puts all right answers before all wrong ones, [R]."""
    right, least = counted.right.sum(1), _least_kept(counted.total, max_rejection).squeeze(1)
    harmonic = _harmonic(counted.total)
    perfect = (right - least).clamp_min(0.0)
    beyond = harmonic[counted.total.long()] - harmonic[torch.maximum(right, least).long()]
    return (perfect + right * beyond) / (counted.total - least)


def prr(counted: Tally, max_rejection: float = 1.0) -> Tensor:
    """Prediction-rejection ratio, [R]; NaN where all answers are right or all are wrong."""
    chance = accuracy(counted)
    gain, most = (area(counted, max_rejection) - chance for area in (auarc, best_auarc))
    single = (counted.right.sum(1) == 0) | (counted.wrong.sum(1) == 0)
    return torch.where(single, torch.nan, gain / most)


def aurac(counted: Tally) -> Tensor:
    """Area under the rejection-accuracy curve at 20 coverages, [R]."""
    share = (19 + 9 * torch.arange(20, dtype=torch.float64)) / 190
    places = ((counted.total.unsqueeze(1) - 1) * share + _SLACK).floor() + 1
    return (right_of_top(counted, places) / places).sum(1) * 0.9 / 19


def aurc(counted: Tally) -> Tensor:
    """Mean risk of the k most confident answers, [R]."""
    return 1 - auarc(counted)


def accuracy_at_coverage(counted: Tally, coverage: float = 0.8) -> Tensor:
    """Accuracy of that share of most confident answers, [R]."""
    places = (coverage * counted.total - _SLACK).ceil().clamp_min(1.0).unsqueeze(1)
    return (right_of_top(counted, places) / places).squeeze(1)


def coverage_at_risk(counted: Tally, risk: float = 0.1) -> Tensor:
    """Greatest share of most confident answers of which at most a share ``risk`` is wrong, [R]."""
    size, _, above, right_above = counted.top
    # At most risk wrong among the top k: a + s k >= (1 - risk) k, with a and s as in `auarc`.
    rest, excess = right_above - counted.slope * above, counted.slope - (1 - risk)
    falls = excess < -_SLACK
    most = torch.where(falls, ((rest + _SLACK) / -excess).floor(), above + size)
    most = torch.minimum(most, above + size)
    holds = (rest + excess * most >= -_SLACK) & (most > above)
    return torch.where(holds, most, 0.0).amax(1) / counted.total


def _least_kept(total: Tensor, max_rejection: float) -> Tensor:
    """How many answers are always kept, so that the areas start above them, [R, 1]."""
    return (total - (max_rejection * total + _SLACK).floor()).unsqueeze(1)


def _harmonic(total: Tensor) -> Tensor:
    """H_0 = 0, H_1, ... up to the greatest total."""
    numbers = torch.arange(1, int(total.max()) + 1, dtype=torch.float64).reciprocal()
    return torch.cat([numbers.new_zeros(1), numbers.cumsum(0)])
