"""Bootstrap intervals of metrics, and the paired bootstrap of two predictors on the same answers.

Answers, or whole groups of them, are drawn with replacement. A resample is a row of counts, so that a thousand of them
are evaluated in a few matrix operations (see `tally_counts`).

References:
    [Efron1993] Efron and Tibshirani, "An Introduction to the Bootstrap", 1993: percentile intervals, chapter 13.
    [Berg2012] Berg-Kirkpatrick et al., "An Empirical Investigation of Statistical Significance in NLP", EMNLP 2012: the
    paired bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

from sgpu_lightning.metrics.functional.bootstrap_draws import fold_indices, group_numbers, resample_counts
from sgpu_lightning.metrics.functional.bootstrap_results import (
    Comparison,
    Interval,
    compare_resampled,
    percentile_ends,
)
from sgpu_lightning.metrics.functional.probability_checks import check_count, check_inputs, check_proportion
from sgpu_lightning.metrics.functional.tally_counts import Tally
from sgpu_lightning.metrics.registry import LOWER_IS_BETTER, METRICS, bootstrap_names

TallyMetric = Callable[[Tally], Tensor]


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
    """Evaluate a metric on the answers and on resamples of them, with the same resamples for every predictor.

    Args:
        metric: A name from ``bootstrap_names()`` of the registry, or a function of a `Tally` for other settings than
            the defaults, such as ``partial(tally.ece, num_bins=10)``.
        probs: P(correct) of each answer by each of P predictors, shape ``(n,)`` each, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.
        groups: Group of each answer; groups are drawn as a whole. None draws single answers.
        folds: Number of each answer's fold, shape ``(n,)``. The metric is computed in each fold, answers are drawn
            within folds, and the mean over folds is returned. None treats all answers as one fold.
        num_resamples: Number of resamples R.
        seed: Random seed of the draws, which depend on nothing else.

    Returns:
        The metric of each predictor, float64 [P], and the metric of each predictor on every resample, float64 [P, R];
        nan if it is undefined.

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
    function = _tally_form(metric)
    checked = [check_inputs(values, labels) for values in probs]
    group = group_numbers(groups, len(labels))
    generator = torch.Generator().manual_seed(seed)
    value = torch.zeros(len(checked), dtype=torch.float64)
    resampled = torch.zeros(len(checked), num_resamples, dtype=torch.float64)
    fold_rows = fold_indices(folds, len(labels))
    for rows in fold_rows:
        in_fold = [(values.cpu()[rows], truth.cpu()[rows]) for values, truth in checked]
        value += torch.stack([function(Tally.of(*answers))[0] for answers in in_fold])
        for span, drawn in resample_counts(group[rows], num_resamples, generator):
            resampled[:, span] += torch.stack([function(Tally.of(*answers, drawn)) for answers in in_fold])
    return value / len(fold_rows), resampled / len(fold_rows)


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

    Resamples on which the metric is undefined (a single class) are left out; if none is left, the interval is nan.

    Args:
        metric: A name from ``bootstrap_names()`` of the registry, or a function of a `Tally`.
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.
        groups: Group of each answer; groups are drawn as a whole.
        folds: Number of each answer's fold; see `bootstrap`.
        confidence: Confidence of the interval, in (0, 1].
        num_resamples: Number of resamples.
        seed: Random seed of the draws.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        >>> from torch import linspace
        >>> from sgpu_lightning.metrics.functional import bootstrap_interval
        >>> probs = linspace(0, 1, 200)
        >>> print(bootstrap_interval("auroc", probs, (probs * 7 % 1 < probs).long()))
        0.836 [0.773, 0.887]

    """
    check_proportion("confidence", confidence)
    value, resampled = bootstrap(
        metric, [probs], labels, groups=groups, folds=folds, num_resamples=num_resamples, seed=seed
    )
    return Interval(value.item(), *percentile_ends(resampled[0], confidence))


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
        metric: A name from ``bootstrap_names()`` of the registry, or a function of a `Tally`.
        probs: P(correct) of each answer by the first predictor, shape ``(n,)``, in [0, 1].
        others: P(correct) of each answer by the second predictor, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.
        lower_is_better: Whether a lower metric is better; None looks a name up in the registry, and takes higher to be
            better for a function.
        groups: Group of each answer; groups are drawn as a whole.
        folds: Number of each answer's fold; see `bootstrap`.
        confidence: Confidence of the interval, in (0, 1].
        num_resamples: Number of resamples.
        seed: Random seed of the draws.

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
    check_proportion("confidence", confidence)
    value, resampled = bootstrap(
        metric, [probs, others], labels, groups=groups, folds=folds, num_resamples=num_resamples, seed=seed
    )
    if lower_is_better is None:
        lower_is_better = metric in LOWER_IS_BETTER
    return compare_resampled(value, resampled, 0, 1, lower_is_better=lower_is_better, confidence=confidence)


def _tally_form(metric: str | TallyMetric) -> TallyMetric:
    if not isinstance(metric, str):
        return metric
    if metric not in bootstrap_names():
        raise ValueError(
            f"`metric`: expected one of {', '.join(bootstrap_names())}, or a function of a tally, got '{metric}'"
        )
    return METRICS[metric].tally_form
