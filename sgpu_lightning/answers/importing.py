"""Bring a file of records into a store."""

from __future__ import annotations

import itertools
from pathlib import Path

from sgpu_lightning.answers.reader import OnError, Skipped, read_answers
from sgpu_lightning.answers.record import AnswerSet, RecordError
from sgpu_lightning.answers.storage.store import AnswerStore, StoreError

SHARD_SIZE = 2048


def import_file(
    answers: Path, out: Path, *, on_error: OnError = "raise", skipped: Skipped | None = None
) -> tuple[int, int]:
    """Add the records of a file that a store does not have yet, by id.

    Args:
        answers: The file.
        out: The store's folder; made if it is not there.
        on_error: ``raise`` or ``skip``; with ``raise``, the whole file is checked before anything is written.
        skipped: Collects what ``skip`` leaves out.

    Returns:
        How many were added, how many were there already.

    Raises:
        RecordError: At a bad record, or if the file holds none.
        StoreError: If an id is in the store with other content.
    """
    if on_error == "raise":
        for _ in read_answers(answers):
            pass
    records = read_answers(answers, on_error=on_error, skipped=skipped)
    part = list(itertools.islice(records, SHARD_SIZE))  # first, so that a missing file leaves no store behind
    if not part:
        raise RecordError(f"{answers}: expected answer sets, got none")
    store = AnswerStore.create(out, {"kind": "import", "file": answers.name})
    known = {record.id: essence(record) for record in store.records()}
    present = added = 0
    while part:
        for record in part:
            if known.get(record.id, essence(record)) != essence(record):
                raise StoreError(
                    f"{out}: answer set '{record.id}' is there with other content than in {answers}; a store only "
                    "grows: import the changed file into another store"
                )
        fresh = [record for record in part if record.id not in known]
        present += len(part) - len(fresh)
        added += len(fresh)
        if fresh:
            store.append(fresh)
        part = list(itertools.islice(records, SHARD_SIZE))
    return added, present


def essence(record: AnswerSet) -> int:
    """What must not change under an id, as one number, so that a large store fits in memory."""
    return hash((record.question, record.answers, record.greedy, record.gold, record.label))
