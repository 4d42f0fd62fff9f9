"""The store: answer sets on disk, append-only, with vector sets beside the text.

    STORE/manifest.json                       format version, source (model, sampling settings), vector sets
    STORE/answers/00000-0-5f0c2a9e.parquet    the records; number, rank and token of the process that wrote them
    STORE/vectors/<name>/00000-0-5f0c2a9e...  vectors of the same rows in the same order
    STORE/failures/<writer>.jsonl             questions that got no answers yet, and why

A shard appears under its name only when it is whole. The answers shard is written last: with it the sets
are in the store, without it they are not, so a killed run loses at most the shard it was at. Several processes
may append at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgpu_lightning.answers.record import AnswerSet, parse_record
from sgpu_lightning.answers.row_files import read_rows
from sgpu_lightning.answers.storage.failures import read_failures
from sgpu_lightning.answers.storage.shards import (
    ShardNames,
    StoreError,
    remove_orphans,
    shard_names,
    store_lock,
    write_whole,
    writing,
)
from sgpu_lightning.answers.storage.vectors import (
    VectorDtype,
    VectorError,
    VectorShard,
    VectorSpec,
    read_shard,
    shard_table,
)

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FORMAT_VERSION", "AnswerStore", "StoreError"]

FORMAT_VERSION = 2
_READABLE = (1, 2)  # format 1 differs in the shards' names alone


class AnswerStore:
    """Answer sets on disk. Make one with `create` or `open`.

    Args:
        path: The store's folder.
        manifest: The decoded manifest.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self._names: ShardNames | None = None
        self._ids: dict[str, frozenset[str]] = {}

    @classmethod
    def open(cls, path: str | Path) -> AnswerStore:
        """Open an existing store.

        Raises:
            StoreError: If the folder is no store, or of a newer format.
        """
        path = Path(path)
        file = path / "manifest.json"
        if not file.is_file():
            raise StoreError(f"{path}: not a store (no manifest.json); make one with 'sgpu import' or 'sgpu sample'")
        try:
            manifest = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise StoreError(f"{file}: not readable as JSON ({error})") from error
        if not isinstance(manifest, dict) or "format_version" not in manifest:
            raise StoreError(f"{file}: not a store's manifest: expected an object with format_version")
        if manifest["format_version"] not in _READABLE:
            raise StoreError(
                f"{file}: expected format_version {' or '.join(map(str, _READABLE))}, got "
                f"{manifest['format_version']!r}; upgrade sgpu_lightning or write the store again"
            )
        if lacking := [key for key in ("source", "vectors") if not isinstance(manifest.get(key), dict)]:
            raise StoreError(f"{file}: expected objects under 'source' and 'vectors', got none under {lacking}")
        return cls(path, manifest)

    @classmethod
    def create(cls, path: str | Path, source: Mapping[str, Any], *, rank: int = 0) -> AnswerStore:
        """Open the store at ``path`` to go on with, or start one; several processes may do so at once.

        Args:
            path: The folder; made if it is not there.
            source: What the answers come from (model, sampling settings ...), JSON-ready.
            rank: This process's rank, where several write; for the shards' names.

        Raises:
            StoreError: If a store is there that was made with other settings, listing what differs, if the path is
                a file, or if nothing can be written there.
        """
        path = Path(path)
        if path.is_file():
            raise StoreError(f"{path}: expected a folder for the store, got a file")
        wanted = json.loads(json.dumps(source))
        if not (path / "manifest.json").exists():
            with writing(path):
                (path / "answers").mkdir(parents=True, exist_ok=True)
            with store_lock(path):
                if not (path / "manifest.json").exists():
                    cls(path, {"format_version": FORMAT_VERSION, "source": wanted, "vectors": {}})._write_manifest()
        store = cls.open(path)
        if differing := differences(store.source, wanted, "the store has", "now asked"):
            raise StoreError(
                f"{path}: the store was made with other settings; choose another --out or the same settings:\n"
                + "\n".join(differing)
            )
        store._names = ShardNames(path / "answers", rank)
        remove_orphans(path)
        return store

    @property
    def source(self) -> dict[str, Any]:
        """What the answers come from."""
        return self.manifest["source"]

    @property
    def shards(self) -> list[str]:
        """Names of the answer shards, in order."""
        return shard_names(self.path / "answers")

    @property
    def vector_specs(self) -> dict[str, VectorSpec]:
        """The vector sets that `add_vector_set` announced, by name."""
        return {name: VectorSpec(**spec) for name, spec in self.manifest["vectors"].items()}

    def ids(self) -> set[str]:
        """Ids of all answer sets in the store; what resuming goes by."""
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
        """Whether the shard's vectors of that set are written."""
        return (self.path / "vectors" / name / shard).is_file()

    def read_vectors(self, name: str, shard: str) -> VectorShard:
        """The vectors of one shard.

        Raises:
            VectorError: If the shard has none of that name, or others than the manifest says.
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

    def add_vector_set(self, spec: VectorSpec) -> None:
        """Announce a vector set, so that its shards may be written.

        Raises:
            StoreError: If a set of that name was made by something else.
        """
        if self.open(self.path).vector_specs.get(spec.name) == spec:
            self.manifest = self.open(self.path).manifest
            return
        with store_lock(self.path):
            self.manifest = self.open(self.path).manifest  # another process may have announced a set of its own
            present = self.vector_specs.get(spec.name)
            if present not in (None, spec):
                raise StoreError(
                    f"{self.path}: vectors '{spec.name}' were made by {present.describe()} (dimension {present.dim}), "
                    f"now asked {spec.describe()} (dimension {spec.dim}); write another store"
                )
            self.manifest["vectors"][spec.name] = spec.to_dict()
            self._write_manifest()

    def locked(self) -> AbstractContextManager[None]:
        """Keep other processes from adding to the store meanwhile."""
        return store_lock(self.path)

    def append(
        self,
        records: Sequence[AnswerSet],
        vectors: Mapping[str, VectorShard] | None = None,
        dtype: VectorDtype = "float32",
    ) -> None:
        """Add answer sets as one new shard, with their vectors of each announced set.

        Raises:
            StoreError: If the system refuses to write; the store is then as it was.
        """
        import pyarrow as pa

        rows = [record.to_dict() | {"meta": json.dumps(record.meta)} for record in records]
        table = pa.Table.from_pylist(rows, schema=_schema())
        ids = [record.id for record in records]
        with self.new_shard() as shard:
            for name, block in (vectors or {}).items():
                self.write_vectors(name, shard, ids, block, dtype)
            self.write_answers(shard, table)

    @contextmanager
    def new_shard(self) -> Iterator[str]:
        """The name of a shard to write, its vectors first, while no other process writes."""
        with self.locked():
            if self._names is None:
                self._names = ShardNames(self.path / "answers")
                remove_orphans(self.path)
            if self.manifest["format_version"] != FORMAT_VERSION:  # older versions would not see the shard
                self.manifest = self.open(self.path).manifest | {"format_version": FORMAT_VERSION}
                self._write_manifest()
            shard = self._names.take()
            try:
                yield shard
            except BaseException:
                for file in self.path.glob(f"vectors/*/{shard}"):
                    file.unlink()
                raise

    def write_answers(self, shard: str, table: pa.Table) -> None:
        """Write the records of one shard as they stand in Parquet; with it the shard is in the store."""
        import pyarrow.parquet as pq

        target = self.path / "answers" / shard
        write_whole(target, lambda partial: pq.write_table(table, partial, compression="zstd"))

    def write_vectors(
        self, name: str, shard: str, ids: Sequence[str], vectors: VectorShard, dtype: VectorDtype = "float32"
    ) -> None:
        """Write one shard of an announced vector set."""
        spec = self.vector_specs[name]
        if vectors.answers.shape[1] != spec.dim:
            raise VectorError(f"{self.path}: '{name}': expected dimension {spec.dim}, got {vectors.answers.shape[1]}")
        where = str(self.path / "vectors" / name / shard)
        self.write_vector_table(name, shard, shard_table(vectors, ids, dtype, where))

    def write_vector_table(self, name: str, shard: str, table: pa.Table) -> None:
        """Write one shard of an announced vector set as it stands in Parquet."""
        import pyarrow.parquet as pq

        target = self.path / "vectors" / name / shard
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, lambda partial: pq.write_table(table, partial, compression="zstd", use_dictionary=False))

    def failures(self) -> dict[str, str]:
        """Why questions that have no answers yet got none, by id; see `answers.failures`."""
        there = self.ids()
        return {name: reason for name, reason in read_failures(self.path).items() if name not in there}

    def _write_manifest(self) -> None:
        text = json.dumps(self.manifest, indent=2) + "\n"
        write_whole(self.path / "manifest.json", lambda partial: partial.write_text(text, encoding="utf-8"))


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], we: str, they: str, under: str = "") -> list[str]:
    """One line for each setting that differs, nested ones by their dotted name."""
    lines = []
    for key in sorted({*ours, *theirs}):
        one, other = ours.get(key), theirs.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            lines += differences(one, other, we, they, f"{under}{key}.")
        elif one != other:
            lines.append(f"  {under}{key}: {we} {one!r}, {they} {other!r}")
    return lines


def _schema() -> Any:
    import pyarrow as pa

    text, texts = pa.string(), pa.list_(pa.string())
    return pa.schema(
        {
            "id": text, "answers": texts, "question": text, "context": text, "greedy": text, "gold": texts,
            "label": pa.int8(), "dataset": text, "model": text, "modality": text, "group": text,
            "logprobs": pa.list_(pa.float64()), "image": text, "meta": text,
        }
    )  # fmt: skip
