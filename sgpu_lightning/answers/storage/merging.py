"""Several stores of one source made one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sgpu_lightning.answers.importing import essence
from sgpu_lightning.answers.storage.store import AnswerStore, StoreError, differences

if TYPE_CHECKING:
    import pyarrow as pa


def merge_stores(paths: Sequence[Path], out: Path) -> tuple[AnswerStore, int, int]:
    """Add the answer sets of several stores, with their vectors, to one.

    A merge that was interrupted goes on. Vectors that a store lacks are lacking in the merged one as well;
    'sgpu embed' fills them in.

    Args:
        paths: The stores; they are left as they are.
        out: The merged store's folder; a store of the same source that is there is added to.

    Returns:
        The merged store, how many answer sets were added, and how many were there already.

    Raises:
        StoreError: If the stores were made with different settings, listing what differs, if vectors of one name were
            made by something else, or if two hold different answers to a question of one id.
    """
    stores = [AnswerStore.open(path) for path in paths]
    if not stores:
        raise StoreError(f"{out}: expected at least one store to merge, got none")
    for store in stores[1:]:
        if lines := differences(stores[0].source, store.source, f"{stores[0].path} has", f"{store.path} has"):
            raise StoreError(f"{store.path}: made with other settings than {stores[0].path}:\n" + "\n".join(lines))
    _refuse_other_answers(stores + ([AnswerStore.open(out)] if (out / "manifest.json").exists() else []))
    merged = AnswerStore.create(out, stores[0].source)
    before, given = len(merged.ids()), 0
    for store in stores:
        for spec in store.vector_specs.values():
            merged.add_vector_set(spec)
        for shard in store.shards:
            given += _add_shard(merged, store, shard)
    added = len(merged.ids()) - before
    return merged, added, given - added


def _refuse_other_answers(stores: Sequence[AnswerStore]) -> None:
    """Before anything is written: one id, one content."""
    first: dict[str, tuple[int, Path]] = {}
    for store in stores:
        for record in store.records():
            content, path = first.setdefault(record.id, (essence(record), store.path))
            if content != essence(record):
                raise StoreError(
                    f"{store.path}: answer set '{record.id}' has other content than in {path}: "
                    "expected stores that agree where they hold the same ids; leave one out, or sample again"
                )


def _add_shard(merged: AnswerStore, store: AnswerStore, shard: str) -> int:
    """Add what is new of one shard; gives how many answer sets it holds."""
    import pyarrow.parquet as pq

    # As tables: what Parquet holds goes over as it is, whatever its type.
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


def _new_rows(table: pa.Table, there: set[str]) -> list[bool]:
    """Whether each row's id is not there yet."""
    return [name not in there for name in table.column("id").to_pylist()]
