"""Import your own answers into a store."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sgpu_lightning.cli.parser import run_function


def import_answers(answers: Path, *, out: Path, on_error: Literal["raise", "skip"] = "raise") -> None:
    """Import answers from a file into a store.

    Args:
        answers: A .jsonl, .jsonl.gz or .parquet file of records (see docs/record.md).
        out: The store's folder. Records that an existing store does not have yet are added to it.
        on_error: ``raise`` at the first bad record, or ``skip`` bad records and list them.
    """
    from sgpu_lightning.answers.reader import Skipped
    from sgpu_lightning.answers.storage.importing import import_file
    from sgpu_lightning.console import say

    skipped = Skipped()
    added, present = import_file(answers, out, on_error=on_error, skipped=skipped)
    if skipped.messages:
        say(skipped.summary())
    say(f"{added} answer sets written to {out}" + (f", {present} were already there" if present else ""))


def run(args: list[str]) -> None:
    """Parse and run."""
    run_function(import_answers, "import", args)
