"""Predictions as JSON Lines: one record for each answer set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sgpu_lightning.answers.json_lines import write_json_lines
from sgpu_lightning.data.table import AnswerTable
from sgpu_lightning.gp.frozen.prediction import Prediction


def prediction_records(
    batches: Iterable[tuple[Tensor, Prediction]], table: AnswerTable, train_groups: Tensor | None = None
) -> Iterator[dict[str, Any]]:
    """Yield one JSON-ready record for each predicted answer set.

    Args:
        batches: Output of ``trainer.predict``: positions [B] and their predictions.
        table: The answer sets that the positions refer to.
        train_groups: Numbers of the groups that the predictor was fitted on, int64. Sets of other groups are marked
            ``held_out``. None if the groups are not known; the records then have no key ``held_out``.
    """
    held_out = None if train_groups is None else (~torch.isin(table.group_hashes, train_groups)).tolist()
    for index, prediction in batches:
        columns = {name: getattr(prediction, name).tolist() for name in Prediction._fields}
        for i, position in enumerate(index.tolist()):
            row = table.rows[position]
            yield {
                "id": row.id,
                "dataset": row.dataset,
                "model": row.model,
                "group": row.group,
                **({} if held_out is None else {"held_out": held_out[position]}),
                "scored_answer": row.scored,
                "label": row.label,
                **{name: values[i] for name, values in columns.items()},
            }


def write_predictions(
    path: Path, batches: Iterable[tuple[Tensor, Prediction]], table: AnswerTable, train_groups: Tensor | None
) -> int:
    """Write `prediction_records` to a file; see `write_json_lines`."""
    return write_json_lines(path, prediction_records(batches, table, train_groups))
