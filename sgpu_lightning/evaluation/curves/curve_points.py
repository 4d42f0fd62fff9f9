"""What curves share: a point is a method at one size on one file; means over files, and tables of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sgpu_lightning.errors import EvaluationError
from sgpu_lightning.evaluation.common.methods import Forecast, Kind
from sgpu_lightning.evaluation.common.tables import markdown, write_csv
from sgpu_lightning.metrics.functional import (
    auarc,
    auroc,
    brier_score,
    calibration_error,
    calibration_noise_floor,
    negative_log_likelihood,
    unit_ranks,
)

METRICS = ("auroc", "auarc", "ece", "ece_floor", "brier", "nll")


@dataclass(frozen=True, kw_only=True)
class Point:
    """One method at one size on one file.

    Args:
        set: The file's name.
        size: Labels fitted on, or answers seen.
        method: Its name.
        kind: ``sgpu``, ``supervised`` or ``unsupervised``.
        metrics: `METRICS`, averaged over draws or folds.
    """

    set: str
    size: int
    method: str
    kind: Kind
    metrics: dict[str, float]


def whole_groups(groups: Sequence[str], count: int, generator: torch.Generator) -> Tensor:
    """True for answer sets of groups drawn at random until there are at least ``count`` sets, bool [n].

    Args:
        groups: Of the sets, [n].
        count: How many are wanted; all are taken where there are fewer.
        generator: What draws.
    """
    group_of = torch.from_numpy(np.unique(groups, return_inverse=True)[1])
    sizes = torch.bincount(group_of)
    order = torch.randperm(len(sizes), generator=generator)
    needed = int((sizes[order].cumsum(0) < count).sum()) + 1
    return torch.isin(group_of, order[:needed])


def measure(forecast: Forecast, labels: Tensor) -> dict[str, float]:
    """`METRICS` of a forecast [n] against labels [n]."""
    rank, p = unit_ranks(forecast.rank), forecast.p_correct
    values = {
        "auroc": auroc(rank, labels),
        "auarc": auarc(rank, labels),
        "ece": calibration_error(p, labels),
        "ece_floor": calibration_noise_floor(p),
        "brier": brier_score(p, labels),
        "nll": negative_log_likelihood(p, labels),
    }
    return {name: float(value) for name, value in values.items()}


def mean_of_metrics(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """`METRICS` averaged over rows."""
    return {metric: sum(row[metric] for row in rows) / len(rows) for metric in METRICS}


def mean_over_sets(points: Sequence[Point], axis: str) -> list[dict[str, Any]]:
    """One row for each size and method that all files with points of that size have; best AUROC first at each size.

    Args:
        points: Of all files.
        axis: What the size is called.

    Raises:
        EvaluationError: If there are none.
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


def save(
    points: Sequence[Point], tables: Mapping[str, Sequence[Mapping[str, Any]]], axis: str, settings: Any, out: Path
) -> None:
    """Write ``sets.csv``, a CSV for each table, ``tables.md`` and ``curve.json`` into a folder.

    Args:
        points: Of all files.
        tables: By name.
        axis: What the size is called.
        settings: A dataclass: what the curve was made with.
        out: The folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    by_set = [
        {"set": point.set, axis: point.size, "method": point.method, "kind": point.kind} | point.metrics
        for point in points
    ]
    for name, rows in {"sets": by_set, **tables}.items():
        write_csv(out / f"{name}.csv", rows)
    text = "\n\n".join(markdown(tuple(rows[0]), rows) for rows in tables.values())
    (out / "tables.md").write_text(text + "\n", encoding="utf-8")
    content = {"settings": asdict(settings), "sets": by_set, **tables}
    (out / "curve.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
