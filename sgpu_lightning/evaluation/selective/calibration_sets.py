"""Reads labelled held-out predictions, as ``sgpu predict`` writes them, to calibrate a threshold on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sgpu_lightning.errors import show_value
from sgpu_lightning.evaluation.selective.threshold_rule import SelectiveError


@dataclass(frozen=True, kw_only=True)
class CalibrationSets:
    """The n predictions that a threshold is calibrated on.

    Args:
        probs: P(correct), float64 [n].
        labels: 1.0 for a right answer, 0.0 for a wrong one, [n].
        groups: Groups, [n]; None if a prediction has none.
        unlabelled: Number of predictions without label, which are left out.
        in_sample: Number of predictions of groups that the predictor was fitted on, which are left out.
        marked: Whether the file marks which predictions were held out.
    """

    probs: Tensor
    labels: Tensor
    groups: list[str] | None
    unlabelled: int
    in_sample: int
    marked: bool


def read_calibration_sets(path: Path) -> CalibrationSets:
    """Read predictions, and keep the labelled ones that were held out from fitting.

    Args:
        path: File with one JSON object a line, with the keys ``p_correct`` and ``label``, and with ``held_out`` and
            ``group`` where they are known.

    Raises:
        SelectiveError: If a line is invalid, or no prediction is left.
    """
    rows = list(_rows(path))
    labelled = [row for row in rows if row.get("label") is not None]
    kept = [row for row in labelled if row.get("held_out", True)]  # null says that it is not known
    if not kept:
        raise SelectiveError(
            f"{path}: expected predictions with labels (0 or 1) of sets held out from fitting, got none: of "
            f"{len(rows)} lines {len(rows) - len(labelled)} have no label and {len(labelled)} are of groups the "
            "predictor was fitted on, which would make the threshold in-sample; predict other labelled answers"
        )
    named = [row.get("group") for row in kept]
    return CalibrationSets(
        probs=torch.tensor([row["p_correct"] for row in kept], dtype=torch.float64),
        labels=torch.tensor([row["label"] for row in kept], dtype=torch.float64),
        groups=[str(group) for group in named] if all(group is not None for group in named) else None,
        unlabelled=len(rows) - len(labelled),
        in_sample=len(labelled) - len(kept),
        marked=all("held_out" in row for row in kept),
    )


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    if not path.is_file():
        raise SelectiveError(f"{path}: no such file; expected predictions, as 'sgpu predict' writes them")
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield _row(line, f"{path}:{number}")


def _row(line: str, where: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise SelectiveError(f"{where}: broken JSON: {error}") from error
    if not isinstance(row, dict):
        raise SelectiveError(f"{where}: expected a JSON object, got {show_value(row)}")
    p, label = row.get("p_correct"), row.get("label")
    if isinstance(p, bool) or not isinstance(p, int | float) or not 0.0 <= p <= 1.0:
        raise SelectiveError(f"{where}: key 'p_correct': expected a number in [0, 1], got {show_value(p)}")
    if label not in (0, 1, None):
        raise SelectiveError(f"{where}: key 'label': expected 0, 1 or null, got {show_value(label)}")
    if row.get("held_out") not in (True, False, None):
        raise SelectiveError(f"{where}: key 'held_out': expected true or false, got {show_value(row['held_out'])}")
    return row
