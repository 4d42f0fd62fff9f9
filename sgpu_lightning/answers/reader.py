"""Read answer sets from files of records."""

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
    """What ``on_error="skip"`` left out.

    Args:
        messages: One for each record, of the first `KEPT_MESSAGES`: a file may have millions.
        count: How many records.
    """

    messages: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, message: str) -> None:
        """Count one, and keep its message."""
        self.count += 1
        if len(self.messages) < KEPT_MESSAGES:
            self.messages.append(message)

    def summary(self, most: int = 5) -> str:
        """The count and the first few messages."""
        shown = "\n".join(f"  {message}" for message in self.messages[:most])
        more = f"\n  ... and {self.count - most} more" if self.count > most else ""
        return f"left out {self.count} bad records:\n{shown}{more}"


def read_answers(
    path: str | Path, *, on_error: OnError = "raise", skipped: Skipped | None = None
) -> Iterator[AnswerSet]:
    """Yield the answer sets of a .jsonl, .jsonl.gz or .parquet file in their order.

    Args:
        path: The file. ``dataset`` defaults to its name without suffixes.
        on_error: ``raise`` at the first bad record, or ``skip`` it.
        skipped: Collects what ``skip`` leaves out.

    Raises:
        RecordError: Naming file and line of a bad record, or of an id that came before.
    """
    seen: dict[str, str] = {}

    def refuse_again(record: AnswerSet, where: str) -> None:
        """Refuse a record whose id was there before."""
        if record.id in seen:
            raise RecordError(
                f"{where}: duplicate id '{record.id}', first seen at {seen[record.id]}; ids must be unique"
            )
        seen[record.id] = where

    yield from stream_answers(path, on_error=on_error, skipped=skipped, check=refuse_again)


def stream_answers(
    path: str | Path,
    *,
    on_error: OnError = "raise",
    skipped: Skipped | None = None,
    check: Callable[[AnswerSet, str], None] | None = None,
) -> Iterator[AnswerSet]:
    """Yield answer sets as `read_answers` does, in memory that does not grow with the file: an id may come twice.

    Args:
        path: See `read_answers`.
        on_error: Likewise.
        skipped: Likewise.
        check: Refuses a record by a `RecordError`, given where it stands.

    Raises:
        RecordError: Naming file and line of a bad record.
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
