"""Answers for the benchmarks: real answers if available, else toy answers."""

from __future__ import annotations

import gzip
import json
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.toy import toy_rows

TRIVIAQA = "triviaqa__llama-3.1-8b-instruct.jsonl.gz"


@dataclass(frozen=True, slots=True)
class Answers:
    """Records with a name.

    Args:
        rows: Decoded records.
        name: Name in the notes of the table.
    """

    rows: list[dict[str, Any]]
    name: str


def triviaqa_answers(toy_count: int = 1400) -> Answers:
    """Load the TriviaQA answers of Llama 3.1 8B from ``$SGPU_ANSWERS`` or beside the repository, else toy answers.

    Args:
        toy_count: Number of toy answer sets if there are no real ones.
    """
    folder = Path(os.environ.get("SGPU_ANSWERS") or Path(__file__).parents[2] / "shared" / "answers")
    file = folder / TRIVIAQA
    if not file.is_file():
        return Answers(toy_rows(toy_count), "toy answers (real answers not found: set SGPU_ANSWERS)")
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        return Answers([json.loads(line) for line in stream], "TriviaQA answers of Llama-3.1-8B")


def write_split(answers: Answers, folder: Path, train: int, seed: int = 0) -> tuple[Path, Path]:
    """Shuffle the records, and write the first ``train`` of them to one file and the rest to another.

    Returns:
        The training file and the test file.
    """
    rows = random.Random(seed).sample(answers.rows, len(answers.rows))
    files = folder / "train.jsonl", folder / "test.jsonl"
    for file, part in zip(files, (rows[:train], rows[train:]), strict=True):
        file.write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    return files
