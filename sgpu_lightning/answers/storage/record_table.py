"""Layout of a shard of records in Parquet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sgpu_lightning.answers.record import AnswerSet

if TYPE_CHECKING:
    import pyarrow as pa


def record_table(records: Sequence[AnswerSet]) -> pa.Table:
    """The records as a table for Parquet, one row each; ``meta`` is JSON text."""
    import pyarrow as pa

    text, texts = pa.string(), pa.list_(pa.string())
    schema = pa.schema(
        {
            "id": text, "answers": texts, "question": text, "context": text, "greedy": text, "gold": texts,
            "label": pa.int8(), "dataset": text, "model": text, "modality": text, "group": text,
            "logprobs": pa.list_(pa.float64()), "image": text, "meta": text,
        }
    )  # fmt: skip
    return pa.Table.from_pylist([record.to_dict() | {"meta": json.dumps(record.meta)} for record in records], schema)
