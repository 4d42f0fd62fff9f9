"""Points of a curve, which are one method at one size on one file, and their means over files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sgpu_lightning.errors import EvaluationError
from sgpu_lightning.evaluation.common.methods import HeldOutPredictions, Kind
from sgpu_lightning.metrics.functional import unit_ranks
from sgpu_lightning.metrics.registry import in_table, names

METRICS = names("curve")


@dataclass(frozen=True, kw_only=True)
class Point:
    """One method at one size on one file.

    Args:
        set: Name of the file.
        size: Number of labels fitted on, or of answers evaluated with.
        method: Name of the method.
        kind: ``sgpu``, ``supervised`` or ``unsupervised``.
        metrics: `METRICS`, averaged over draws or folds.
    """

    set: str
    size: int
    method: str
    kind: Kind
    metrics: dict[str, float]


def whole_groups(groups: Sequence[str], count: int, generator: torch.Generator) -> Tensor:
    """Draw whole groups at random until they hold a number of answer sets.

    Args:
        groups: Groups of the answer sets, [n].
        count: Smallest number of answer sets to draw; all are drawn where there are fewer.
        generator: Random number generator.

    Returns:
        True for the answer sets of drawn groups, bool [n].
    """
    group_of = torch.from_numpy(np.unique(groups, return_inverse=True)[1])
    sizes = torch.bincount(group_of)
    order = torch.randperm(len(sizes), generator=generator)
    needed = int((sizes[order].cumsum(0) < count).sum()) + 1
    return torch.isin(group_of, order[:needed])


def measure(predictions: HeldOutPredictions, labels: Tensor) -> dict[str, float]:
    """Compute `METRICS`.

    Args:
        predictions: Held-out predictions of n answer sets.
        labels: 1.0 for a right answer, 0.0 for a wrong one, [n].
    """
    ranks = unit_ranks(predictions.rank)
    return {metric.name: metric.evaluate(predictions.p_correct, labels, ranks) for metric in in_table("curve")}


def mean_of_metrics(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average `METRICS` over rows."""
    return {metric: sum(row[metric] for row in rows) / len(rows) for metric in METRICS}


def mean_over_sets(points: Sequence[Point], axis: str) -> list[dict[str, Any]]:
    """Average points over files.

    Args:
        points: Points of all files.
        axis: Name of the size, ``labels`` or ``answers``.

    Returns:
        One row for each size and each method that all files with points of that size have; best AUROC first at each
        size.

    Raises:
        EvaluationError: If there are no points.
    """
    if not points:
        raise EvaluationError(f"{axis}: no file has as many as any number asked for; give smaller ones (--{axis})")
    rows: list[dict[str, Any]] = []
    for size in sorted({point.size for point in points}):
        here = [point for point in points if point.size == size]
        count = len({point.set for point in here})
        found: list[dict[str, Any]] = []
        for method in dict.fromkeys(point.method for point in here):
            own = [point for point in here if point.method == method]
            if len(own) == count:
                about = {axis: size, "method": method, "kind": own[0].kind, "sets": count}
                found.append(about | mean_of_metrics([point.metrics for point in own]))
        rows += sorted(found, key=lambda row: -row["auroc"])
    return rows
