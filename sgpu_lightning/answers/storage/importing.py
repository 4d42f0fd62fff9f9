"""Import of a file of records into a store."""

from __future__ import annotations

import itertools
from pathlib import Path

from sgpu_lightning.answers.reader import OnError, Skipped, read_answers
from sgpu_lightning.answers.record import RecordError
from sgpu_lightning.answers.storage.store import AnswerStore, StoreError

SHARD_SIZE = 2048


def import_file(
    answers: Path, out: Path, *, on_error: OnError = "raise", skipped: Skipped | None = None
) -> tuple[int, int]:
    """Add the records of a file to a store, except those whose id the store already has.

    Args:
        answers: The file.
        out: The store's folder; created if it does not exist.
        on_error: ``raise`` at a bad record, or ``skip`` it; with ``raise``, the whole file is checked before anything
            is written.
        skipped: Collects the messages of the records that ``skip`` leaves out; None discards them.

    Returns:
        Number of records added, and number of records that the store already had.

    Raises:
        RecordError: At a bad record, or if the file holds none.
        StoreError: If the store has an id with different content.
    """
    if on_error == "raise":
        for _ in read_answers(answers):
            pass
    records = read_answers(answers, on_error=on_error, skipped=skipped)
    part = list(itertools.islice(records, SHARD_SIZE))  # before the store is created: a missing file must not leave one
    if not part:
        raise RecordError(f"{answers}: expected answer sets, got none")
    store = AnswerStore.create(out, {"kind": "import", "file": answers.name})
    known = {record.id: record.content_hash() for record in store.records()}
    present = added = 0
    while part:
        for record in part:
            content = record.content_hash()
            if known.get(record.id, content) != content:
                raise StoreError(
                    f"{out}: answer set '{record.id}' is in the store with different content than in {answers}; "
                    "records in a store cannot be changed: import the changed file into another store"
                )
        fresh = [record for record in part if record.id not in known]
        present += len(part) - len(fresh)
        added += len(fresh)
        if fresh:
            store.append(fresh)
        part = list(itertools.islice(records, SHARD_SIZE))
    return added, present
