"""The store: answer sets on disk, append-only, with vector sets beside the text.

    STORE/manifest.json                       format version, source (model, sampling settings), vector sets
    STORE/answers/00000-0-5f0c2a9e.parquet    the records; number, rank and token of the process that wrote them
    STORE/vectors/<name>/00000-0-5f0c2a9e...  vectors of the same rows in the same order
    STORE/failures/<writer>.jsonl             questions that have no answers yet, with the reasons

A shard appears under its name only when it is complete. Its file of records is written last: the answer sets are in the
store if and only if that file exists, so a killed run loses at most the shard that it was writing. Several processes
may append at the same time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.storage.manifest import (
    FORMAT_VERSION,
    differences,
    manifest_file,
    new_manifest,
    read_manifest,
    write_manifest,
)
from sgpu_lightning.answers.storage.orphans import remove_orphans
from sgpu_lightning.answers.storage.record_table import record_table
from sgpu_lightning.answers.storage.shard_names import ShardNames
from sgpu_lightning.answers.storage.store_files import StoreError, store_lock, write_whole, writing
from sgpu_lightning.answers.storage.store_reader import StoreReader
from sgpu_lightning.answers.storage.vectors import VectorDtype, VectorError, VectorShard, VectorSpec, shard_table

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FORMAT_VERSION", "AnswerStore", "StoreError"]


class AnswerStore(StoreReader):
    """Answer sets on disk, to be read and appended to. Use `create` or `open` to get one.

    Args:
        path: The store's folder.
        manifest: The decoded manifest.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        super().__init__(path, manifest)
        self._names: ShardNames | None = None

    @classmethod
    def create(cls, path: str | Path, source: Mapping[str, Any], *, rank: int = 0) -> Self:
        """Open the store at ``path`` to continue it, or create one; several processes may do so at the same time.

        Args:
            path: The folder; created if it does not exist.
            source: JSON-ready description of what the answers come from (model, sampling settings and so on).
            rank: This process's rank if several processes write; part of the shards' names.

        Raises:
            StoreError: If an existing store was made with other settings (the message lists the differences), the path
                is a file, or the folder cannot be written.
        """
        path = Path(path)
        if path.is_file():
            raise StoreError(f"{path}: expected a folder for the store, got a file")
        wanted = json.loads(json.dumps(source))
        if not manifest_file(path).exists():
            with writing(path):
                (path / "answers").mkdir(parents=True, exist_ok=True)
            with store_lock(path):
                if not manifest_file(path).exists():
                    write_manifest(path, new_manifest(wanted))
        store = cls.open(path)
        if differing := differences(store.source, wanted, "the store has", "now asked"):
            raise StoreError(
                f"{path}: the store was made with other settings; choose another --out or the same settings:\n"
                + "\n".join(differing)
            )
        store._names = ShardNames(path / "answers", rank)
        remove_orphans(path)
        return store

    def add_vector_set(self, spec: VectorSpec) -> None:
        """Declare a vector set in the manifest, so that its shards may be written.

        Args:
            spec: What makes the vectors.

        Raises:
            StoreError: If a vector set of that name was made by something else.
        """
        self.manifest = read_manifest(self.path)
        if self.vector_specs.get(spec.name) == spec:
            return
        with store_lock(self.path):
            self.manifest = read_manifest(self.path)  # another process may have declared a vector set meanwhile
            present = self.vector_specs.get(spec.name)
            if present not in (None, spec):
                raise StoreError(
                    f"{self.path}: vectors '{spec.name}' were made by {present.describe()} (dimension {present.dim}), "
                    f"now asked {spec.describe()} (dimension {spec.dim}); write another store"
                )
            self.manifest["vectors"][spec.name] = spec.to_dict()
            write_manifest(self.path, self.manifest)

    def locked(self) -> AbstractContextManager[None]:
        """Keep other processes from adding to the store meanwhile."""
        return store_lock(self.path)

    def append(
        self,
        records: Sequence[AnswerSet],
        vectors: Mapping[str, VectorShard] | None = None,
        dtype: VectorDtype = "float32",
    ) -> None:
        """Add answer sets as one new shard, with their vectors of each declared vector set.

        Args:
            records: The answer sets.
            vectors: Their vectors, by the name of the vector set; None: no vectors.
            dtype: Number format of the stored vectors.

        Raises:
            StoreError: If the system refuses to write; the store is then as it was.
        """
        ids = [record.id for record in records]
        with self.new_shard() as shard:
            for name, block in (vectors or {}).items():
                self.write_vectors(name, shard, ids, block, dtype)
            self.write_answers(shard, record_table(records))

    @contextmanager
    def new_shard(self) -> Iterator[str]:
        """Yield the name of a shard to write, vectors first, while no other process writes."""
        with self.locked():
            if self._names is None:
                self._names = ShardNames(self.path / "answers")
                remove_orphans(self.path)
            if self.manifest["format_version"] != FORMAT_VERSION:  # older versions would not see the shard
                self.manifest = read_manifest(self.path) | {"format_version": FORMAT_VERSION}
                write_manifest(self.path, self.manifest)
            shard = self._names.take()
            try:
                yield shard
            except BaseException:
                for file in self.path.glob(f"vectors/*/{shard}"):
                    file.unlink()
                raise

    def write_answers(self, shard: str, table: pa.Table) -> None:
        """Write the records of one shard, which adds them to the store.

        Args:
            shard: Name of the shard.
            table: The records as laid out by `record_table`.

        Raises:
            StoreError: If the system refuses to write.
        """
        import pyarrow.parquet as pq

        target = self.path / "answers" / shard
        write_whole(target, lambda partial: pq.write_table(table, partial, compression="zstd"))

    def write_vectors(
        self, name: str, shard: str, ids: Sequence[str], vectors: VectorShard, dtype: VectorDtype = "float32"
    ) -> None:
        """Write one shard of a declared vector set.

        Args:
            name: Name of the vector set.
            shard: Name of the shard.
            ids: Ids of the shard's answer sets, in order.
            vectors: Their vectors.
            dtype: Number format of the stored vectors.

        Raises:
            VectorError: If the dimension differs from the declared one, or a vector is not finite or zero.
            StoreError: If the system refuses to write.
        """
        spec = self.vector_specs[name]
        if vectors.answers.shape[1] != spec.dim:
            raise VectorError(f"{self.path}: '{name}': expected dimension {spec.dim}, got {vectors.answers.shape[1]}")
        where = str(self.path / "vectors" / name / shard)
        self.write_vector_table(name, shard, shard_table(vectors, ids, dtype, where))

    def write_vector_table(self, name: str, shard: str, table: pa.Table) -> None:
        """Write one shard of a declared vector set from a table.

        Args:
            name: Name of the vector set.
            shard: Name of the shard.
            table: The vectors as laid out by `shard_table`.

        Raises:
            StoreError: If the system refuses to write.
        """
        import pyarrow.parquet as pq

        target = self.path / "vectors" / name / shard
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, lambda partial: pq.write_table(table, partial, compression="zstd", use_dictionary=False))
