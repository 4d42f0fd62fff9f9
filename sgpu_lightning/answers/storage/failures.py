"""Questions that got no answers, with the reasons: one JSON Lines file for each process that wrote to the store.

A line is ``{"id", "reason", "time"}``, with the time in seconds since 1970. A line is obsolete once the store has
answers to the question, or a later line concerns the same question.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from sgpu_lightning.answers.storage.store_files import write_whole, writing


class FailureFile:
    """The failures of one process; the file exists only if there are any.

    Args:
        store: The store's folder.
        writer: Name that distinguishes the process from all others.
    """

    def __init__(self, store: Path, writer: str) -> None:
        self._file = _folder(store) / f"{writer}.jsonl"
        self._lines: dict[str, str] = {}
        self._written = 0

    def add(self, question_id: str, reason: str) -> None:
        """Add a failure, which `write` saves.

        Args:
            question_id: Id of the question.
            reason: Reason of the failure.
        """
        row = {"id": question_id, "reason": reason, "time": time.time()}
        self._lines[question_id] = json.dumps(row) + "\n"

    def write(self) -> None:
        """Save the failures added since the last call.

        Raises:
            StoreError: If the system refuses to write.
        """
        if len(self._lines) == self._written:
            return
        with writing(self._file):
            self._file.parent.mkdir(exist_ok=True)
        text = "".join(self._lines.values())
        write_whole(self._file, lambda partial: partial.write_text(text, encoding="utf-8"))
        self._written = len(self._lines)


def read_failures(store: Path) -> dict[str, str]:
    """The latest reason of each question that ever failed, by question id."""
    return {row["id"]: row["reason"] for row in _latest(store).values()}


def tidy_failures(store: Path, answered: Collection[str]) -> None:
    """Remove the files in which every line is obsolete.

    Args:
        store: The store's folder.
        answered: Ids of the questions that have answers.
    """
    latest = _latest(store)
    for file in _files(store):
        rows = list(_rows(file))
        if all(row["id"] in answered or latest[row["id"]]["time"] > row["time"] for row in rows):
            file.unlink(missing_ok=True)


def _latest(store: Path) -> dict[str, dict[str, Any]]:
    rows = sorted((row for file in _files(store) for row in _rows(file)), key=lambda row: row["time"])
    return {row["id"]: row for row in rows}


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with suppress(FileNotFoundError):  # another process removed the file
        yield from map(json.loads, file.read_text(encoding="utf-8").splitlines())


def _files(store: Path) -> list[Path]:
    return sorted(file for file in _folder(store).glob("*.jsonl") if not file.name.startswith("."))


def _folder(store: Path) -> Path:
    return store / "failures"
