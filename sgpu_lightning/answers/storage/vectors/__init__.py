"""Vectors of answer sets: their source, a shard of them in memory, and its layout in Parquet."""

from sgpu_lightning.answers.storage.vectors.vector_shard import VectorDtype, VectorError, VectorShard
from sgpu_lightning.answers.storage.vectors.vector_spec import VectorSpec, describe_specs, specs_match
from sgpu_lightning.answers.storage.vectors.vector_table import read_shard, shard_table

__all__ = [
    "VectorDtype",
    "VectorError",
    "VectorShard",
    "VectorSpec",
    "describe_specs",
    "read_shard",
    "shard_table",
    "specs_match",
]
