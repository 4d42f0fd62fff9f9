"""Predictions as JSON Lines: one record for each answer set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.frozen import Prediction
from sgpu_lightning.table import AnswerTable


def prediction_records(
    batches: Iterable[tuple[Tensor, Prediction]], table: AnswerTable, train_groups: Tensor
) -> Iterator[dict[str, Any]]:
    """One JSON-ready record for each predicted answer set.

    Args:
        batches: What ``trainer.predict`` gives: positions [B] and their prediction.
        table: The answer sets that the positions are of.
        train_groups: Hashes of the groups the predictor was fitted on, int64; other sets are ``held_out``.
    """
    held_out = (~torch.isin(table.group_hashes, train_groups)).tolist()
    for index, prediction in batches:
        columns = {name: getattr(prediction, name).tolist() for name in Prediction._fields}
        for i, position in enumerate(index.tolist()):
            row = table.rows[position]
            yield {
                "id": row.id,
                "dataset": row.dataset,
                "model": row.model,
                "group": row.group,
                "held_out": held_out[position],
                "scored_answer": row.scored,
                "label": row.label,
                **{name: values[i] for name, values in columns.items()},
            }


def write_predictions(
    path: Path, batches: Iterable[tuple[Tensor, Prediction]], table: AnswerTable, train_groups: Tensor
) -> int:
    """Write `prediction_records` to a file, which appears only when it is whole.

    Returns:
        How many records were written.

    Raises:
        SGPUError: If the path is a folder.
    """
    if path.is_dir():
        raise SGPUError(f"{path}: expected a file to write predictions to, got a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    count = 0
    with partial.open("w", encoding="utf-8") as stream:
        for record in prediction_records(batches, table, train_groups):
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    partial.replace(path)
    return count
