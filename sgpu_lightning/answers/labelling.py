"""Grading whole files and stores, and how far two ways of labelling agree."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, cast

from sgpu_lightning.answers.grading import DEFAULT_GRADER, Grader, Verdict, get_grader, grade_records
from sgpu_lightning.answers.reader import OnError, Skipped, read_answers
from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.errors import SGPUError

OWN_LABELS = "label"
_SUFFIXES = (".jsonl", ".jsonl.gz")

Labels = Sequence[int | None]


def read_records(
    path: Path, on_error: OnError = "raise", skipped: Skipped | None = None
) -> tuple[list[AnswerSet], str]:
    """The answer sets of a file or store, and the name of the grader that fits them.

    Raises:
        RecordError: At a bad record of a file, unless they are skipped.
        StoreError: If the folder is no store.
        SGPUError: If there are none.
    """
    grader = DEFAULT_GRADER
    if path.is_dir():
        store = AnswerStore.open(path)
        records, grader = list(store.records()), store.source.get("grader") or grader
    else:
        records = list(read_answers(path, on_error=on_error, skipped=skipped))
    if not records:
        raise SGPUError(f"{path}: expected answer sets to grade, got none")
    return records, grader


def other_labels(records: Sequence[AnswerSet], against: str) -> Labels:
    """Labels to compare with: the records' own for ``label``, else those of the grader of that name.

    Raises:
        SGPUError: If no record has one, or there is no such grader.
    """
    if against == OWN_LABELS:
        labels = [record.label for record in records]
    else:
        labels = labels_of(list(grade_records(records, get_grader(against))))
    if all(label is None for label in labels):
        raise SGPUError(f"--against {against}: expected labels to compare with, got none in {len(records)} records")
    return labels


def labels_of(verdicts: Iterable[Verdict]) -> list[int | None]:
    """1, 0, or None where there is no verdict."""
    return [None if verdict.correct is None else int(verdict.correct) for verdict in verdicts]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two ways of labelling agree, over the records that both label.

    Args:
        both_right: Records that both call right.
        only_first: Records that only the first calls right.
        only_second: Records that only the second calls right.
        both_wrong: Records that both call wrong.
        kappa: Cohen's kappa: 1 full agreement, 0 no more than by chance; NaN where there is nothing to agree on.
    """

    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    kappa: float

    @property
    def count(self) -> int:
        """Records that both label."""
        return self.both_right + self.only_first + self.only_second + self.both_wrong

    @property
    def share(self) -> float:
        """Share of those on which both agree, in [0, 1]; NaN where there are none."""
        return (self.both_right + self.both_wrong) / self.count if self.count else float("nan")


def compare_labels(first: Labels, second: Labels) -> Agreement:
    """How far two ways of labelling the same records agree."""
    from sklearn.metrics import cohen_kappa_score

    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    kappa = float("nan")
    if len({label for pair in pairs for label in pair}) == 2:  # with one class there is no chance to correct for
        kappa = float(cohen_kappa_score([a for a, _ in pairs], [b for _, b in pairs]))
    return Agreement(pairs.count((1, 1)), pairs.count((1, 0)), pairs.count((0, 1)), pairs.count((0, 0)), kappa)


def with_verdict(record: AnswerSet, verdict: Verdict, grader: Grader, name: str) -> AnswerSet:
    """The record with the verdict as its label; ``meta["grading"]`` says whose it is and what the label was."""
    if hasattr(grader, "apply"):  # a judge keeps more than its verdict
        return cast("AnswerSet", grader.apply(record, verdict))
    grading = {"grader": name, "label_before": record.label} | ({"reason": verdict.reason} if verdict.reason else {})
    (label,) = labels_of([verdict])
    return replace(record, label=label, meta=record.meta | {"grading": grading})


def write_records(path: Path, records: Iterable[AnswerSet]) -> int:
    """Write records as JSON Lines to a file that appears only when it is whole.

    Returns:
        How many were written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    count = 0
    try:
        # Half characters, which ``meta`` may hold, as JSON spells them.
        opened = (gzip.open if path.suffix == ".gz" else open)(
            partial, "wt", encoding="utf-8", errors="backslashreplace"
        )
        with cast("IO[str]", opened) as stream:
            for record in records:
                stream.write(json.dumps(record.to_dict(), ensure_ascii=False) + "\n")
                count += 1
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return count


def check_out(out: Path, source: Path) -> None:
    """Refuse an output that would not be read as records, or that would change what is graded.

    Raises:
        SGPUError: Saying what to give instead.
    """
    if not out.name.endswith(_SUFFIXES) or out.is_dir():
        raise SGPUError(f"--out {out}: expected the name of a {' or '.join(_SUFFIXES)} file")
    inside = out.resolve()
    if inside == source.resolve() or source.resolve() in inside.parents:
        raise SGPUError(f"--out {out}: expected another file than what is graded, {source}, which is left as it is")
