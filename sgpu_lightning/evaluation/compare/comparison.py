"""Compares SGPU with every other score on one evaluation set, by cross-validation with intervals and paired tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from sgpu_lightning.errors import EvaluationError
from sgpu_lightning.evaluation.common.evaluation_settings import CompareSettings
from sgpu_lightning.evaluation.common.folds import group_folds
from sgpu_lightning.evaluation.common.methods import DEFAULT, HeldOutPredictions, Kind, cross_validate, methods_for
from sgpu_lightning.evaluation.common.prediction_cache import OutOfFoldPredictions, PredictionCache
from sgpu_lightning.evaluation.common.set_reader import read
from sgpu_lightning.metrics.functional import Comparison, bootstrap, unit_ranks
from sgpu_lightning.metrics.functional.bootstrap_results import compare_resampled
from sgpu_lightning.metrics.metric_row import MetricRow
from sgpu_lightning.metrics.registry import LOWER_IS_BETTER, in_table, names

TESTED = names("tested")  # metrics with intervals and paired tests
_PLATT = ("ece", "brier")  # metrics that are also computed of Platt's calibration


@dataclass(frozen=True, kw_only=True)
class MethodResult:
    """Result of one method on one evaluation set.

    Args:
        method: Name of the method.
        kind: ``sgpu``, ``supervised`` or ``unsupervised``.
        metrics: Metrics by name, each the mean over folds. ``ece_floor`` is the ECE that a perfectly calibrated
            predictor with these probabilities would show; ``ece_platt`` and ``brier_platt`` are those of Platt's
            calibration.
        intervals: 95 % bootstrap intervals of the tested metrics.
        against: Comparison of the default SGPU with this method, by tested metric.
    """

    method: str
    kind: Kind
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    against: dict[str, Comparison]


@dataclass(frozen=True, kw_only=True)
class SetResult:
    """Results of all methods on one evaluation set.

    Args:
        name: Name of the evaluation set.
        sets: Number of answer sets.
        accuracy: Proportion of right answers.
        left_out: Number of unlabelled answer sets that were left out.
        reasons: Scores that could not be computed, each with the number of answer sets by reason.
        results: One result for each method.
    """

    name: str
    sets: int
    accuracy: float
    left_out: int
    reasons: dict[str, dict[str, int]]
    results: list[MethodResult] = field(repr=False)

    def best_unsupervised(self, metric: str = "auroc") -> MethodResult:
        """The unsupervised score that is best on this set, chosen with hindsight.

        Args:
            metric: Metric to choose by; higher must be better.

        Raises:
            EvaluationError: If there is no unsupervised score.
        """
        scores = [one for one in self.results if one.kind == "unsupervised"]
        if not scores:
            raise EvaluationError(f"{self.name}: there is no unsupervised score to compare with")
        return max(scores, key=lambda one: one.metrics[metric])


def compare_set(path: str | Path, settings: CompareSettings, cache: PredictionCache) -> SetResult:
    """Cross-validate every method on one file or store.

    Args:
        path: The answer file or store.
        settings: Settings of the comparison.
        cache: Stores predictions, so that a second run only computes what has changed.

    Raises:
        EvaluationError: If the answer sets cannot be cut into folds with both classes.
    """
    found = cache.load(path, settings) or _predict(path, settings, cache)
    return _measure(found, settings)


def _predict(path: str | Path, settings: CompareSettings, cache: PredictionCache) -> OutOfFoldPredictions:
    data = read(path, settings)
    folds = group_folds(data.groups, data.labels, settings.folds, settings.seed)
    methods = methods_for(data)
    found = OutOfFoldPredictions(
        name=data.name,
        ids=data.ids,
        groups=data.groups,
        labels=data.labels,
        folds=folds,
        left_out=data.left_out,
        reasons=data.scores.left_out,
        kinds={method.name: method.kind for method in methods},
        predictions={method.name: cross_validate(method, data, folds) for method in methods},
    )
    cache.save(path, settings, found)
    return found


def _measure(found: OutOfFoldPredictions, settings: CompareSettings) -> SetResult:
    methods = list(found.predictions)
    values: dict[str, Tensor] = {}
    resampled: dict[str, Tensor] = {}
    for metric in in_table("compare"):
        if metric.tally_path:
            values[metric.name], resampled[metric.name] = _bootstrap(found, metric, settings)
    ours = methods.index(DEFAULT)
    results = [
        MethodResult(
            method=name,
            kind=found.kinds[name],
            metrics={metric: float(values[metric][i]) for metric in values}
            | _extra_metrics(found, found.predictions[name]),
            intervals={metric: _interval(resampled[metric][i]) for metric in TESTED},
            against={
                metric: compare_resampled(
                    values[metric], resampled[metric], ours, i, lower_is_better=metric in LOWER_IS_BETTER
                )
                for metric in TESTED
            },
        )
        for i, name in enumerate(methods)
    ]
    return SetResult(
        name=found.name,
        sets=len(found.ids),
        accuracy=float(found.labels.mean()),
        left_out=found.left_out,
        reasons=found.reasons,
        results=results,
    )


def _bootstrap(found: OutOfFoldPredictions, metric: MetricRow, settings: CompareSettings) -> tuple[Tensor, Tensor]:
    """Evaluate a metric of every method, [P], and on resamples where the metric is tested, [P, R]."""
    methods = found.predictions.values()
    return bootstrap(
        metric.name,
        [unit_ranks(one.rank) if metric.takes == "rank" else one.p_correct for one in methods],
        found.labels,
        groups=found.groups,
        folds=found.folds,
        num_resamples=settings.resamples if metric.name in TESTED else 1,
        seed=settings.seed,
    )


def _extra_metrics(found: OutOfFoldPredictions, predictions: HeldOutPredictions) -> dict[str, float]:
    """Compute the metrics that cannot be resampled, and those of Platt's calibration, as means over folds."""
    folds = [(found.folds == fold) for fold in torch.unique(found.folds).tolist()]
    ranks, p_correct = unit_ranks(predictions.rank), predictions.p_correct
    values = {}
    for metric in in_table("compare"):
        if not metric.tally_path:
            by_fold = [metric.evaluate(p_correct[rows], found.labels[rows], ranks[rows]) for rows in folds]
            values[metric.name] = sum(by_fold) / len(folds)
    for name in _PLATT:
        platt, _ = bootstrap(name, [predictions.platt], found.labels, folds=found.folds, num_resamples=1)
        values[f"{name}_platt"] = float(platt)
    return values


def _interval(resampled: Tensor) -> tuple[float, float]:
    known = resampled[~resampled.isnan()]
    low, high = torch.quantile(known, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high
