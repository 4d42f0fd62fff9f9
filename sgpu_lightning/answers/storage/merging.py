"""Merging of several stores of one source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sgpu_lightning.answers.storage.manifest import differences
from sgpu_lightning.answers.storage.store import AnswerStore, StoreError

if TYPE_CHECKING:
    import pyarrow as pa


def merge_stores(paths: Sequence[Path], out: Path) -> tuple[AnswerStore, int, int]:
    """Add the answer sets of several stores, with their vectors, to one store.

    An interrupted merge can be run again and continues. Vectors that a store lacks are also missing in the merged
    store; 'sgpu embed' adds them.

    Args:
        paths: Folders of the stores; they are not changed.
        out: The merged store's folder. An existing store of the same source is extended.

    Returns:
        The merged store, the number of answer sets added, and the number that it already had.

    Raises:
        StoreError: If the stores were made with different settings (the message lists the differences), vector sets of
            one name have different sources, or two stores hold different content under one id.
    """
    stores = [AnswerStore.open(path) for path in paths]
    if not stores:
        raise StoreError(f"{out}: expected at least one store to merge, got none")
    for store in stores[1:]:
        if lines := differences(stores[0].source, store.source, f"{stores[0].path} has", f"{store.path} has"):
            raise StoreError(f"{store.path}: made with other settings than {stores[0].path}:\n" + "\n".join(lines))
    _refuse_conflicting_content(stores + ([AnswerStore.open(out)] if (out / "manifest.json").exists() else []))
    merged = AnswerStore.create(out, stores[0].source)
    before, total = len(merged.ids()), 0
    for store in stores:
        for spec in store.vector_specs.values():
            merged.add_vector_set(spec)
        for shard in store.shards:
            total += _add_shard(merged, store, shard)
    added = len(merged.ids()) - before
    return merged, added, total - added


def _refuse_conflicting_content(stores: Sequence[AnswerStore]) -> None:
    """Check, before anything is written, that every id has the same content in all stores."""
    first: dict[str, tuple[int, Path]] = {}
    for store in stores:
        for record in store.records():
            content, path = first.setdefault(record.id, (record.content_hash(), store.path))
            if content != record.content_hash():
                raise StoreError(
                    f"{store.path}: answer set '{record.id}' has different content than in {path}: "
                    "expected stores with the same content under the same id; leave one store out, or sample again"
                )


def _add_shard(merged: AnswerStore, store: AnswerStore, shard: str) -> int:
    """Add the new answer sets of one shard; returns the number of answer sets that the shard holds."""
    import pyarrow.parquet as pq

    # Copied as Parquet tables, so that every column keeps its type.
    table = pq.read_table(store.path / "answers" / shard)
    with merged.locked():
        new = _new_rows(table, merged.ids())
        if any(new):
            with merged.new_shard() as name:
                for vectors in store.vector_specs:
                    if store.has_vectors(vectors, shard):
                        kept = pq.read_table(store.path / "vectors" / vectors / shard).filter(new)
                        merged.write_vector_table(vectors, name, kept)
                merged.write_answers(name, table.filter(new))
    return len(table)


def _new_rows(table: pa.Table, present: set[str]) -> list[bool]:
    """Whether each row's id is new."""
    return [name not in present for name in table.column("id").to_pylist()]
