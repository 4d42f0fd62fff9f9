"""Reading from a store; see `sgpu_lightning.answers.storage.store` for its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from sgpu_lightning.answers.record import AnswerSet, parse_record
from sgpu_lightning.answers.row_files import read_rows
from sgpu_lightning.answers.storage.failures import read_failures
from sgpu_lightning.answers.storage.manifest import read_manifest
from sgpu_lightning.answers.storage.shard_names import shard_names
from sgpu_lightning.answers.storage.vectors import VectorError, VectorShard, VectorSpec, read_shard


class StoreReader:
    """Answer sets on disk, to be read.

    Args:
        path: The store's folder.
        manifest: The decoded manifest.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self._ids: dict[str, frozenset[str]] = {}

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open an existing store.

        Args:
            path: The store's folder.

        Raises:
            StoreError: If the folder is not a store, or its format is newer than this version reads.
        """
        path = Path(path)
        return cls(path, read_manifest(path))

    @property
    def source(self) -> dict[str, Any]:
        """What the answers come from: for example model and sampling settings."""
        return self.manifest["source"]

    @property
    def shards(self) -> list[str]:
        """Names of the shards of records, in order."""
        return shard_names(self.path / "answers")

    @property
    def vector_specs(self) -> dict[str, VectorSpec]:
        """The declared vector sets, by name; see `AnswerStore.add_vector_set`."""
        return {name: VectorSpec(**spec) for name, spec in self.manifest["vectors"].items()}

    def ids(self) -> set[str]:
        """Ids of all answer sets in the store; an interrupted run resumes with the ids that are missing."""
        import pyarrow.parquet as pq

        for shard in self.shards:
            if shard not in self._ids:  # a shard never changes
                column = pq.read_table(self.path / "answers" / shard, columns=["id"]).column("id")
                self._ids[shard] = frozenset(column.to_pylist())
        return set().union(*(self._ids[shard] for shard in self.shards))

    def read(self, shard: str) -> list[AnswerSet]:
        """The answer sets of one shard."""
        return [parse_record(row, where) for where, row in read_rows(self.path / "answers" / shard)]

    def records(self) -> Iterator[AnswerSet]:
        """All answer sets, shard after shard."""
        for shard in self.shards:
            yield from self.read(shard)

    def has_vectors(self, name: str, shard: str) -> bool:
        """Whether the shard's vectors of the vector set ``name`` are written."""
        return (self.path / "vectors" / name / shard).is_file()

    def read_vectors(self, name: str, shard: str) -> VectorShard:
        """The vectors of one shard.

        Args:
            name: Name of the vector set.
            shard: Name of the shard.

        Raises:
            VectorError: If the shard has no vectors of that name, or their dimension differs from the manifest's.
        """
        file = self.path / "vectors" / name / shard
        if not file.is_file():
            raise VectorError(
                f"{self.path}: shard {shard} has no '{name}' vectors: run 'sgpu embed' on the store again"
            )
        vectors = read_shard(file)
        dim = self.vector_specs[name].dim
        if vectors.scored.shape[1] != dim:
            raise VectorError(f"{file}: expected vectors of dimension {dim}, got {vectors.scored.shape[1]}")
        return vectors

    def failures(self) -> dict[str, str]:
        """Reasons why questions without answers got none, by question id; see `storage.failures`."""
        answered = self.ids()
        return {name: reason for name, reason in read_failures(self.path).items() if name not in answered}
