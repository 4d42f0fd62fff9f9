"""Curve over numbers of answers: one predictor for any number of answers against one predictor for each number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sgpu_lightning.evaluation.common.evaluation_set import EvaluationSet
from sgpu_lightning.evaluation.common.evaluation_settings import AnswerSettings
from sgpu_lightning.evaluation.common.folds import group_folds
from sgpu_lightning.evaluation.common.methods import HeldOutPredictions
from sgpu_lightning.evaluation.common.set_reader import read
from sgpu_lightning.evaluation.curves.curve_points import Point, mean_of_metrics, measure, whole_groups
from sgpu_lightning.features.answer_subsets import AnswerSubset, subset_weight
from sgpu_lightning.gp.frozen.frozen_gp import FrozenGP
from sgpu_lightning.gp.hyperparameters import fit_classifier
from sgpu_lightning.gp.inducing_points import default_inducing
from sgpu_lightning.metrics.registry import names
from sgpu_lightning.seeding import generator_of

ONE, SUBSETS, PER_N = "one", "subsets", "per n"
_FEWEST = 3  # smallest random answer subset
_COMPARED = names("answer_curve")


def answer_points(path: str | Path, settings: AnswerSettings) -> list[Point]:
    """Cross-validate ``one``, ``subsets`` and ``per n`` on one file at every number of answers.

    ``one`` is fitted on all answers, ``subsets`` on all answers and on random answer subsets, and ``per n`` on the same
    number of answers as it is evaluated with.

    Args:
        path: The answer file or store.
        settings: Settings of the curve.

    Raises:
        EvaluationError: If there are no labels, or the answer sets cannot be cut into folds with both classes.
    """
    data = _load(path, settings)
    rows = whole_groups(data.groups, settings.sets, generator_of(settings.seed)).nonzero().squeeze(1)
    folds = group_folds([data.groups[i] for i in rows.tolist()], data.labels[rows], settings.folds, settings.seed)
    by_size = dict(zip(settings.answers, data.subsets[settings.subsets :], strict=True))
    by_size = {n: features for n, features in by_size.items() if n <= int(data.counts.max())}
    found: dict[tuple[int, str], list[dict[str, float]]] = {}
    for fold in range(settings.folds):
        train, test = rows[folds != fold], rows[folds == fold]
        one = _fit(data, [data.features], train)
        fits = {ONE: one, SUBSETS: _fit(data, [data.features, *data.subsets[: settings.subsets]], train)}
        for n, features in by_size.items():
            own = one if torch.equal(features, data.features) else _fit(data, [features], train)
            for name, fitted in (*fits.items(), (PER_N, own)):
                p = fitted(features[test]).p_correct
                found.setdefault((n, name), []).append(measure(HeldOutPredictions(p, p, p), data.labels[test]))
    return [
        Point(set=data.name, size=n, method=name, kind="sgpu", metrics=mean_of_metrics(parts))
        for (n, name), parts in found.items()
    ]


def _load(path: str | Path, settings: AnswerSettings) -> EvaluationSet:
    """Load a file with its random answer subsets, followed by those of each number of answers."""
    first = settings.seed * (1 + settings.subsets + max(settings.answers))
    subsets = [AnswerSubset(first + 1 + i, _FEWEST) for i in range(settings.subsets)]
    subsets += [AnswerSubset(first + 1 + settings.subsets + n, n, n) for n in settings.answers]
    return read(path, settings, scores=[], subsets=subsets)


def _fit(data: EvaluationSet, subsets: Sequence[Tensor], train: Tensor) -> FrozenGP:
    """Fit on the training rows of several answer subsets; the subsets of one answer set share its weight."""
    fitted = fit_classifier(
        torch.cat([features[train] for features in subsets]),
        data.labels[train].repeat(len(subsets)),
        data.widths,
        num_inducing=default_inducing(answer_subsets=len(subsets) > 1),
        weight=subset_weight(data.weight(train), len(train), len(subsets)),
        agreement=data.agreement,
    )
    return fitted.freeze()


def with_differences(mean: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add each metric's difference from ``per n``, and sort rows by number of answers and predictor.

    Args:
        mean: Rows of `mean_over_sets`.
    """
    by_key = {(row["answers"], row["method"]): row for row in mean}
    rows = []
    for n in dict.fromkeys(row["answers"] for row in mean):
        own = by_key[n, PER_N]
        for name in (ONE, SUBSETS, PER_N):
            row = by_key[n, name]
            rows.append(row | {f"{metric}_less": row[metric] - own[metric] for metric in _COMPARED})
    return rows
