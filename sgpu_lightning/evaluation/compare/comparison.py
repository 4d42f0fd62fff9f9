"""SGPU against every other score on the same answer sets: cross-validated by group, with intervals and paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sgpu_lightning.errors import EvaluationError
from sgpu_lightning.evaluation.common.evaluation_set import read
from sgpu_lightning.evaluation.common.evaluation_settings import CompareSettings
from sgpu_lightning.evaluation.common.folds import group_folds
from sgpu_lightning.evaluation.common.methods import DEFAULT, Forecast, Kind, cross_validate, methods_for
from sgpu_lightning.evaluation.common.prediction_cache import ForecastCache, SetForecasts
from sgpu_lightning.metrics.functional import Comparison, bootstrap, calibration_noise_floor, unit_ranks
from sgpu_lightning.metrics.functional.bootstrap_results import compare_resampled
from sgpu_lightning.metrics.registry import LOWER_IS_BETTER

RANKED, PROBABLE = ("auroc", "auarc", "prr"), ("ece", "ace", "brier", "nll")
METRICS = (*RANKED, *PROBABLE)
TESTED = ("auroc", "brier")  # metrics with intervals and paired tests


@dataclass(frozen=True, kw_only=True)
class MethodResult:
    """One method on one evaluation set; metrics are taken in each fold and averaged.

    Args:
        method: Its name.
        kind: ``sgpu``, ``supervised`` or ``unsupervised``.
        metrics: By name; ``ece_floor`` is the ECE a perfectly calibrated predictor with these probabilities would
            show, ``ece_platt`` and ``brier_platt`` those of Platt's calibration.
        intervals: 95 % bootstrap intervals of the tested metrics.
        against: The default SGPU less this method, by tested metric.
    """

    method: str
    kind: Kind
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    against: dict[str, Comparison]


@dataclass(frozen=True, kw_only=True)
class SetResult:
    """All methods on one evaluation set."""

    name: str
    sets: int
    accuracy: float
    left_out: int
    reasons: dict[str, dict[str, int]]
    results: list[MethodResult] = field(repr=False)

    def best_unsupervised(self, metric: str = "auroc") -> MethodResult:
        """The best score without labels on this very set, chosen with hindsight."""
        scores = [one for one in self.results if one.kind == "unsupervised"]
        if not scores:
            raise EvaluationError(f"{self.name}: there is no unsupervised score to compare with")
        return max(scores, key=lambda one: one.metrics[metric])


def compare_set(path: str | Path, settings: CompareSettings, cache: ForecastCache) -> SetResult:
    """Cross-validate every method on one file or store.

    Args:
        path: The file or store.
        settings: What with.
        cache: Keeps forecasts, so that a rerun only computes what changed.

    Raises:
        EvaluationError: If the sets cannot be cut into folds with both classes.
    """
    found = cache.load(path, settings) or _forecast(path, settings, cache)
    return _measure(found, settings)


def _forecast(path: str | Path, settings: CompareSettings, cache: ForecastCache) -> SetForecasts:
    data = read(path, settings)
    folds = group_folds(data.groups, data.labels, settings.folds, settings.seed)
    methods = methods_for(data)
    forecasts = {method.name: cross_validate(method, data, folds) for method in methods}
    found = SetForecasts(
        name=data.name,
        ids=data.ids,
        groups=data.groups,
        labels=data.labels,
        folds=folds,
        left_out=data.left_out,
        reasons=data.scores.left_out,
        kinds={method.name: method.kind for method in methods},
        forecasts=forecasts,
    )
    cache.save(path, settings, found)
    return found


def _measure(found: SetForecasts, settings: CompareSettings) -> SetResult:
    names = list(found.forecasts)
    values: dict[str, Tensor] = {}
    resampled: dict[str, Tensor] = {}
    for metric in METRICS:
        probs = [_of(found.forecasts[name], metric) for name in names]
        count = settings.resamples if metric in TESTED else 1
        values[metric], resampled[metric] = bootstrap(
            metric, probs, found.labels, groups=found.groups, folds=found.folds, num_resamples=count, seed=settings.seed
        )
    extra = {name: _extra_metrics(found, found.forecasts[name]) for name in names}
    ours = names.index(DEFAULT)
    results = [
        MethodResult(
            method=name,
            kind=found.kinds[name],
            metrics={metric: float(values[metric][i]) for metric in METRICS} | extra[name],
            intervals={metric: _interval(resampled[metric][i]) for metric in TESTED},
            against={
                metric: compare_resampled(
                    values[metric], resampled[metric], ours, i, lower_is_better=metric in LOWER_IS_BETTER
                )
                for metric in TESTED
            },
        )
        for i, name in enumerate(names)
    ]
    return SetResult(
        name=found.name,
        sets=len(found.ids),
        accuracy=float(found.labels.mean()),
        left_out=found.left_out,
        reasons=found.reasons,
        results=results,
    )


def _of(forecast: Forecast, metric: str) -> Tensor:
    return unit_ranks(forecast.rank) if metric in RANKED else forecast.p_correct


def _extra_metrics(found: SetForecasts, forecast: Forecast) -> dict[str, float]:
    folds = [(found.folds == fold) for fold in torch.unique(found.folds).tolist()]
    floor = sum(float(calibration_noise_floor(forecast.p_correct[rows])) for rows in folds) / len(folds)
    platt = {
        f"{metric}_platt": float(
            bootstrap(metric, [forecast.platt], found.labels, folds=found.folds, num_resamples=1)[0]
        )
        for metric in ("ece", "brier")
    }
    return {"ece_floor": floor} | platt


def _interval(resampled: Tensor) -> tuple[float, float]:
    known = resampled[~resampled.isnan()]
    low, high = torch.quantile(known, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high


def mean_over_sets(results: Sequence[SetResult]) -> list[dict[str, Any]]:
    """One row for each method that every set has, best AUROC first: mean metrics, and wins, ties and losses.

    ``better``, ``level`` and ``worse`` count the sets on which the default SGPU's AUROC is significantly better than
    this method's, not significantly different, or significantly worse (paired bootstrap, 95 %).
    """
    by_set = [{one.method: one for one in result.results} for result in results]
    common = [name for name in by_set[0] if all(name in methods for methods in by_set)]
    rows = []
    for name in common:
        own = [methods[name] for methods in by_set]
        metrics = {key: sum(one.metrics[key] for one in own) / len(own) for key in own[0].metrics}
        tests = [one.against["auroc"] for one in own]
        better, worse = sum(test.better for test in tests), sum(test.worse for test in tests)
        rows.append(
            {"method": name, "kind": own[0].kind, **metrics}
            | {"better": better, "level": len(tests) - better - worse, "worse": worse}
        )
    return sorted(rows, key=lambda row: -row["auroc"])


def against_best(results: Sequence[SetResult]) -> list[dict[str, Any]]:
    """One row for each set: the default SGPU against the best unsupervised score of that very set."""
    rows = []
    for result in results:
        ours = next(one for one in result.results if one.method == DEFAULT)
        best = result.best_unsupervised()
        test = best.against["auroc"]
        verdict = "better" if test.better else "worse" if test.worse else "level"
        rows.append(
            {
                "set": result.name,
                "n": result.sets,
                "accuracy": result.accuracy,
                "sgpu_auroc": ours.metrics["auroc"],
                "best": best.method,
                "best_auroc": best.metrics["auroc"],
                "difference": test.difference,
                "low": test.low,
                "high": test.high,
                "p_value": test.p_value,
                "verdict": verdict,
                "sgpu_ece": ours.metrics["ece"],
                "ece_floor": ours.metrics["ece_floor"],
                "sgpu_brier": ours.metrics["brier"],
                "best_brier": min(one.metrics["brier"] for one in result.results if one.kind == "unsupervised"),
            }
        )
    return rows
