"""Layout of a shard of vectors in Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sgpu_lightning.answers.storage.vectors.vector_shard import VectorDtype, VectorError, VectorShard

if TYPE_CHECKING:
    import pyarrow as pa


def shard_table(shard: VectorShard, ids: Sequence[str], dtype: VectorDtype, where: str) -> pa.Table:
    """Convert a shard to a table for Parquet.

    The columns are ``id`` string, ``answers`` list<fixed_size_list<dtype>[d]>, ``scored`` fixed_size_list<dtype>[d],
    and ``question`` float32 if the shard has it.

    Args:
        shard: The vectors.
        ids: Ids of their answer sets, [B].
        dtype: Number format of the stored values.
        where: Place of the vectors, for error messages.

    Raises:
        VectorError: If a vector is bad, see `VectorShard.check`, or float16 cannot hold it (large hidden states
            overflow at 65504).
    """
    import pyarrow as pa

    shard.check(ids, where)
    dim = shard.answers.shape[1]
    with np.errstate(over="ignore"):
        flat, scored = (array.astype(dtype) for array in (shard.answers, shard.scored))
    if not (np.isfinite(flat).all() and np.isfinite(scored).all()):
        raise VectorError(f"{where}: a vector has values too large for {dtype}: use dtype float32")
    if not (flat.any(axis=1).all() and scored.any(axis=1).all()):
        raise VectorError(f"{where}: a vector has values too small for {dtype}: use dtype float32")
    offsets = np.concatenate([[0], np.cumsum(shard.counts)]).astype(np.int32)
    columns = {
        "id": pa.array(ids),
        "answers": pa.ListArray.from_arrays(pa.array(offsets), pa.FixedSizeListArray.from_arrays(flat.ravel(), dim)),
        "scored": pa.FixedSizeListArray.from_arrays(scored.ravel(), dim),
    }
    if shard.question is not None:
        columns["question"] = pa.array(shard.question.astype(np.float32))
    return pa.table(columns)


def read_shard(path: Path) -> VectorShard:
    """Read a shard from a Parquet file written from `shard_table`; vectors are returned as float32."""
    import pyarrow.parquet as pq

    names = [name for name in ("answers", "scored", "question") if name in pq.read_schema(path).names]
    table = pq.read_table(path, columns=names)
    answers, scored = (table.column(name).combine_chunks() for name in ("answers", "scored"))
    dim = scored.type.list_size
    values = answers.values.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    counts = np.diff(answers.offsets.to_numpy()).astype(np.int64)
    flat_scored = scored.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    question = table.column("question").to_numpy().copy() if "question" in names else None
    return VectorShard(values.reshape(-1, dim), counts, flat_scored.reshape(-1, dim), question)
