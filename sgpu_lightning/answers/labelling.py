"""Grading of whole files and stores, and the agreement of two labellings of the same records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from sgpu_lightning.answers.grading import DEFAULT_GRADER, Grader, Verdict, get_grader, grade_records
from sgpu_lightning.answers.json_lines import write_json_lines
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
    """Read the answer sets of a file or store, and the name of the grader that suits them.

    Args:
        path: A file of records, or the folder of a store.
        on_error: ``raise`` at a bad record of a file, or ``skip`` it.
        skipped: Collects the messages of the records that ``skip`` leaves out; None discards them.

    Returns:
        The records, and the grader that the store's task names, else the default grader.

    Raises:
        RecordError: At a bad record of a file, unless bad records are skipped.
        StoreError: If the folder is not a store.
        SGPUError: If there are no records.
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
    """Labels to compare with: the records' own labels for ``label``, else the verdicts of a grader.

    Args:
        records: The records.
        against: ``label``, or the name of a grader.

    Returns:
        One label per record; None where there is none.

    Raises:
        SGPUError: If no record has a label, or the grader is unknown.
    """
    if against == OWN_LABELS:
        labels = [record.label for record in records]
    else:
        labels = labels_of(list(grade_records(records, get_grader(against))))
    if all(label is None for label in labels):
        raise SGPUError(f"--against {against}: expected labels to compare with, got none in {len(records)} records")
    return labels


def labels_of(verdicts: Iterable[Verdict]) -> list[int | None]:
    """Labels of the verdicts: 1 right, 0 wrong, None where there is no verdict."""
    return [None if verdict.correct is None else int(verdict.correct) for verdict in verdicts]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of two labellings, over the records that both label.

    Args:
        both_right: Number of records that both label right.
        only_first: Number of records that only the first labels right.
        only_second: Number of records that only the second labels right.
        both_wrong: Number of records that both label wrong.
        kappa: Cohen's kappa: 1 for full agreement, 0 for no more agreement than by chance; NaN where only one class,
            or no record, is labelled.
    """

    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    kappa: float

    @property
    def count(self) -> int:
        """Number of records that both label."""
        return self.both_right + self.only_first + self.only_second + self.both_wrong

    @property
    def proportion(self) -> float:
        """Proportion of those records on which both agree, in [0, 1]; NaN where there are none."""
        return (self.both_right + self.both_wrong) / self.count if self.count else float("nan")


def compare_labels(first: Labels, second: Labels) -> Agreement:
    """Measure the agreement of two labellings of the same records.

    Args:
        first: One label per record; None where unknown.
        second: As ``first``, for the same records in the same order.
    """
    from sklearn.metrics import cohen_kappa_score

    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    kappa = float("nan")
    if len({label for pair in pairs for label in pair}) == 2:  # kappa is undefined for one class
        kappa = float(cohen_kappa_score([a for a, _ in pairs], [b for _, b in pairs]))
    return Agreement(pairs.count((1, 1)), pairs.count((1, 0)), pairs.count((0, 1)), pairs.count((0, 0)), kappa)


def with_verdict(record: AnswerSet, verdict: Verdict, grader: Grader, name: str) -> AnswerSet:
    """The record with the verdict as its label; ``meta["grading"]`` names the grader and keeps the previous label.

    Args:
        record: The record.
        verdict: The verdict on its scored answer.
        grader: The grader; its method ``apply(record, verdict)`` is used instead where it has one.
        name: The grader's name, for ``meta["grading"]``.
    """
    if hasattr(grader, "apply"):  # an LLM judge stores its model and reason as well
        return cast("AnswerSet", grader.apply(record, verdict))
    grading = {"grader": name, "label_before": record.label} | ({"reason": verdict.reason} if verdict.reason else {})
    (label,) = labels_of([verdict])
    return replace(record, label=label, meta=record.meta | {"grading": grading})


def write_records(path: Path, records: Iterable[AnswerSet]) -> int:
    """Write records as JSON Lines; see `write_json_lines`. Returns the number of records written."""
    return write_json_lines(path, (record.to_dict() for record in records))


def check_out(out: Path, source: Path) -> None:
    """Refuse an output file that could not be read as records, or that would overwrite the graded records.

    Args:
        out: The output file.
        source: The graded file or store.

    Raises:
        SGPUError: If the name does not end in ``.jsonl`` or ``.jsonl.gz``, or the file is, or is in, ``source``.
    """
    if not out.name.endswith(_SUFFIXES) or out.is_dir():
        raise SGPUError(f"--out {out}: expected the name of a {' or '.join(_SUFFIXES)} file")
    inside = out.resolve()
    if inside == source.resolve() or source.resolve() in inside.parents:
        raise SGPUError(f"--out {out}: expected a file other than the graded input {source}, which stays unchanged")
