"""Bootstrap intervals of metrics, and paired comparison of two predictors on the same answers.

Answers, or whole groups of them, are drawn with replacement. A resample is a row of counts, so that a thousand of them
are evaluated in a few matrix operations (see `tally`).

References:
    [Efron1993] Efron and Tibshirani, "An Introduction to the Bootstrap", 1993: percentile intervals, chapter 13.
    [Berg2012] Berg-Kirkpatrick et al., "An Empirical Investigation of Statistical Significance in NLP", EMNLP 2012: the
    paired bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sgpu_lightning.metrics.functional.checks import check_count, check_inputs, check_share
from sgpu_lightning.metrics.functional.tally import Tally
from sgpu_lightning.metrics.registry import LOWER_IS_BETTER, METRICS

TallyMetric = Callable[[Tally], Tensor]

_MAX_COUNTS = 2**22  # counts held at once: 32 MiB in float64


@dataclass(frozen=True)
class Interval:
    """A metric with its bootstrap interval.

    Args:
        value: On the answers themselves.
        low: Lower end.
        high: Upper end.

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
    """How much better one predictor is than another on the same answers.

    Args:
        difference: The first's metric less the second's.
        low: Lower end of the difference's interval.
        high: Upper end.
        p_value: Two-sided: how likely a difference at least as far from 0 is where there is none.
        better: Whether the first is better, and the interval excludes 0.
        worse: Whether the first is worse, and the interval excludes 0.

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


def bootstrap(
    metric: str | TallyMetric,
    probs: Sequence[Tensor],
    labels: Tensor,
    *,
    groups: Sequence[Hashable] | None = None,
    folds: Tensor | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> tuple[Tensor, Tensor]:
    """Evaluate a metric on the answers and on resamples of them, the same ones for every predictor.

    Args:
        metric: A name in ``METRICS``, or a function of a `Tally`, for other settings than the defaults.
        probs: P(correct) of each answer by each of P predictors, shape ``(n,)`` each, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.
        groups: What each answer belongs to; groups are drawn as a whole. None for each answer on its own.
        folds: Number of each answer's fold, shape ``(n,)``: the metric is taken in each fold, answers are drawn within
            it, and the mean over folds is reported. None for all answers at once.
        num_resamples: R.
        seed: Starts the generator that draws; the draws depend on nothing else.

    Returns:
        The metric of each predictor, float64 [P], and of each on every resample, [P, R]; nan where it is undefined.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics.functional import bootstrap
        >>> values, resampled = bootstrap("brier", [tensor([0.2, 0.6])], tensor([0, 1]), num_resamples=3)
        >>> values, resampled.shape
        (tensor([0.1000], dtype=torch.float64), torch.Size([1, 3]))

    """
    check_count("num_resamples", num_resamples)
    function = _metric(metric)
    checked = [check_inputs(values, labels) for values in probs]
    group = _group_numbers(groups, len(labels))
    generator = torch.Generator().manual_seed(seed)
    value = torch.zeros(len(checked), dtype=torch.float64)
    resampled = torch.zeros(len(checked), num_resamples, dtype=torch.float64)
    parts = _parts(folds, len(labels))
    for rows in parts:
        part = [(values.cpu()[rows], truth.cpu()[rows]) for values, truth in checked]
        value += torch.stack([function(Tally.of(*answers))[0] for answers in part])
        for span, drawn in _draws(group[rows], num_resamples, generator):
            resampled[:, span] += torch.stack([function(Tally.of(*answers, drawn)) for answers in part])
    return value / len(parts), resampled / len(parts)


def bootstrap_interval(
    metric: str | TallyMetric,
    probs: Tensor,
    labels: Tensor,
    *,
    groups: Sequence[Hashable] | None = None,
    folds: Tensor | None = None,
    confidence: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Measure a metric with its percentile bootstrap interval, see [Efron1993].

    Resamples where the metric is undefined (a single class) are left out; an interval without any is nan.

    Args:
        metric: A name in ``METRICS``, or a function of a `Tally`.
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.
        groups: What each answer belongs to; groups are drawn as a whole.
        folds: Number of each answer's fold; see `bootstrap`.
        confidence: Of the interval, in (0, 1].
        num_resamples: How many.
        seed: Starts the generator that draws.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        >>> from torch import linspace
        >>> from sgpu_lightning.metrics.functional import bootstrap_interval
        >>> probs = linspace(0, 1, 200)
        >>> print(bootstrap_interval("auroc", probs, (probs * 7 % 1 < probs).long()))
        0.836 [0.773, 0.887]

    """
    check_share("confidence", confidence)
    value, resampled = bootstrap(
        metric, [probs], labels, groups=groups, folds=folds, num_resamples=num_resamples, seed=seed
    )
    return Interval(value.item(), *_ends(resampled[0], confidence))


def paired_bootstrap(
    metric: str | TallyMetric,
    probs: Tensor,
    others: Tensor,
    labels: Tensor,
    *,
    lower_is_better: bool | None = None,
    groups: Sequence[Hashable] | None = None,
    folds: Tensor | None = None,
    confidence: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare two predictors on the same resamples of the same answers, see [Berg2012].

    Args:
        metric: A name in ``METRICS``, or a function of a `Tally`.
        probs: P(correct) of each answer by the first, shape ``(n,)``, in [0, 1].
        others: By the second.
        labels: 1 if the answer is right else 0, shape ``(n,)``.
        lower_is_better: Whether a lower metric is better; None for what is known of a name in ``METRICS``, or for
            higher.
        groups: What each answer belongs to; groups are drawn as a whole.
        folds: Number of each answer's fold; see `bootstrap`.
        confidence: Of the interval, in (0, 1].
        num_resamples: How many.
        seed: Starts the generator that draws.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        >>> from torch import linspace
        >>> from sgpu_lightning.metrics.functional import paired_bootstrap
        >>> probs = linspace(0, 1, 200)
        >>> found = paired_bootstrap("auroc", probs, 0 * probs + 0.5, (probs * 7 % 1 < probs).long())
        >>> found.better, round(found.difference, 2)
        (True, 0.34)

    """
    check_share("confidence", confidence)
    value, resampled = bootstrap(
        metric, [probs, others], labels, groups=groups, folds=folds, num_resamples=num_resamples, seed=seed
    )
    falls = metric in LOWER_IS_BETTER if lower_is_better is None else lower_is_better
    return compare_resampled(value, resampled, 0, 1, lower_is_better=falls, confidence=confidence)


def compare_resampled(
    values: Tensor, resampled: Tensor, first: int, second: int, *, lower_is_better: bool, confidence: float = 0.95
) -> Comparison:
    """Compare two predictors by what `bootstrap` gave for many.

    Args:
        values: The metric of each predictor, [P].
        resampled: On every resample, [P, R].
        first: Which predictor.
        second: Which other one.
        lower_is_better: Whether a lower metric is better.
        confidence: Of the interval, in (0, 1].
    """
    differences = resampled[first] - resampled[second]
    low, high = _ends(differences, confidence)
    above, below = (high < 0, low > 0) if lower_is_better else (low > 0, high < 0)
    difference = (values[first] - values[second]).item()
    return Comparison(difference, low, high, _p_value(differences), better=above, worse=below)


def _metric(metric: str | TallyMetric) -> TallyMetric:
    if not isinstance(metric, str):
        return metric
    known = sorted(name for name, row in METRICS.items() if row.tally_path)
    if metric not in known:
        raise ValueError(f"`metric`: expected one of {', '.join(known)}, or a function of a tally, got '{metric}'")
    return METRICS[metric].tally_form


def _group_numbers(groups: Sequence[Hashable] | None, count: int) -> Tensor:
    if groups is None:
        return torch.arange(count)
    if len(groups) != count:
        raise ValueError(f"`groups`: expected {count}, one for each answer, got {len(groups)}")
    number: dict[Hashable, int] = {}
    return torch.tensor([number.setdefault(group, len(number)) for group in groups])


def _parts(folds: Tensor | None, count: int) -> list[Tensor]:
    if folds is None:
        return [torch.arange(count)]
    if folds.shape != (count,):
        raise ValueError(f"`folds`: expected shape ({count},), one for each answer, got {tuple(folds.shape)}")
    return [(folds.cpu() == fold).nonzero().squeeze(1) for fold in sorted(set(folds.tolist()))]


def _draws(group: Tensor, num_resamples: int, generator: torch.Generator) -> Iterator[tuple[slice, Tensor]]:
    """How often each answer is drawn, float64 [r, n] for runs of r resamples.

    Args:
        group: Number of each answer's group, int64 [n].
        num_resamples: How many in all.
        generator: Draws groups.
    """
    member = torch.unique(group, return_inverse=True)[1]
    size = int(member.max()) + 1
    rows = max(1, _MAX_COUNTS // len(group))
    for start in range(0, num_resamples, rows):
        span = slice(start, min(start + rows, num_resamples))
        drawn = torch.randint(size, (span.stop - span.start, size), generator=generator)
        counted = torch.zeros(drawn.shape, dtype=torch.float64)
        counted.scatter_add_(1, drawn, torch.ones((), dtype=torch.float64).expand_as(drawn))
        yield span, counted if size == len(group) else counted[:, member]


def _ends(resampled: Tensor, confidence: float) -> tuple[float, float]:
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
    # One more of each, since the answers themselves are a resample too: a p-value is never 0.
    sides = [(int(side.sum()) + 1) / (len(known) + 1) for side in (known <= 0, known >= 0)]
    return min(1.0, 2 * min(sides))
