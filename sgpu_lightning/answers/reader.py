"""Reading of answer sets from files of records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from sgpu_lightning.answers.record import AnswerSet, RecordError, parse_record
from sgpu_lightning.answers.row_files import read_rows

OnError = Literal["raise", "skip"]
KEPT_MESSAGES = 10_000


@dataclass
class Skipped:
    """Bad records that ``on_error="skip"`` left out.

    Args:
        messages: The error messages of the first `KEPT_MESSAGES` bad records; a file may have millions.
        count: Number of bad records.
    """

    messages: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, message: str) -> None:
        """Count a bad record and keep its message."""
        self.count += 1
        if len(self.messages) < KEPT_MESSAGES:
            self.messages.append(message)

    def summary(self, most: int = 5) -> str:
        """The count and the first ``most`` messages, one a line."""
        shown = "\n".join(f"  {message}" for message in self.messages[:most])
        more = f"\n  ... and {self.count - most} more" if self.count > most else ""
        return f"left out {self.count} bad records:\n{shown}{more}"


def read_answers(
    path: str | Path, *, on_error: OnError = "raise", skipped: Skipped | None = None
) -> Iterator[AnswerSet]:
    """Yield the answer sets of a .jsonl, .jsonl.gz or .parquet file in order.

    Args:
        path: The file. A record's ``dataset`` defaults to the file's name without suffixes.
        on_error: ``raise`` at the first bad record, or ``skip`` bad records.
        skipped: Collects the messages of the records that ``skip`` leaves out; None discards them.

    Raises:
        RecordError: At a bad record or a repeated id; names file and line.
    """
    seen: dict[str, str] = {}

    def refuse_duplicate(record: AnswerSet, where: str) -> None:
        """Refuse a record whose id occurred before."""
        if record.id in seen:
            raise RecordError(
                f"{where}: duplicate id '{record.id}', first seen at {seen[record.id]}; ids must be unique"
            )
        seen[record.id] = where

    yield from stream_answers(path, on_error=on_error, skipped=skipped, check=refuse_duplicate)


def stream_answers(
    path: str | Path,
    *,
    on_error: OnError = "raise",
    skipped: Skipped | None = None,
    check: Callable[[AnswerSet, str], None] | None = None,
) -> Iterator[AnswerSet]:
    """Yield answer sets as `read_answers` does, without checking that ids are unique.

    Memory does not grow with the file.

    Args:
        path: The file. A record's ``dataset`` defaults to the file's name without suffixes.
        on_error: ``raise`` at the first bad record, or ``skip`` bad records.
        skipped: Collects the messages of the records that ``skip`` leaves out; None discards them.
        check: Called with each record and its place (file and line); raises `RecordError` to refuse the record.

    Raises:
        RecordError: At a bad record; names file and line.
    """
    path = Path(path)
    dataset = path.name.split(".")[0]
    for where, row in read_rows(path):
        try:
            if isinstance(row, RecordError):
                raise row
            record = parse_record(row, where)
            if check is not None:
                check(record, where)
        except RecordError as error:
            if on_error == "raise":
                raise
            if skipped is not None:
                skipped.add(str(error))
            continue
        yield record if record.dataset else replace(record, dataset=dataset)
