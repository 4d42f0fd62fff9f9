"""The interface of graders, and grading of records with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.scored_answer import scored_answer
from sgpu_lightning.errors import SGPUError


@dataclass(frozen=True, slots=True)
class Verdict:
    """A grader's verdict on one record.

    Args:
        correct: Whether the scored answer is right; None if there is no verdict.
        reason: Reason of the verdict, or of its absence; empty if the grader gives none.
    """

    correct: bool | None
    reason: str = ""


@runtime_checkable
class RecordGrader(Protocol):
    """A grader that reads whole records, not only the scored answer and the gold answers.

    It may also have a method ``apply(record, verdict)``, which returns the labelled record and so decides what the
    record stores of the verdict.
    """

    def grade(self, records: Sequence[AnswerSet]) -> Sequence[Verdict]:
        """Verdicts in the order of the records; ``correct`` is None for a record without gold answers."""
        ...


AnswerGrader: TypeAlias = Callable[[str, Sequence[str]], bool]
Grader: TypeAlias = AnswerGrader | RecordGrader
NO_GOLD = Verdict(None, "no gold answers")


@dataclass(frozen=True)
class ScoreGrader:
    """Grades an answer as right if its score reaches a threshold.

    Args:
        score: Function of an answer and its gold answers, with values in [0, 1].
        threshold: Smallest score of a right answer, in (0, 1].

    Raises:
        SGPUError: If the threshold is not a number in (0, 1].
    """

    score: Callable[[str, Sequence[str]], float]
    threshold: float

    def __post_init__(self) -> None:
        if isinstance(self.threshold, bool) or not isinstance(self.threshold, int | float):
            raise SGPUError(f"threshold: expected a number, got {self.threshold!r}")
        if not 0 < self.threshold <= 1:
            raise SGPUError(f"threshold: expected above 0 and at most 1, got {self.threshold}")

    def __call__(self, answer: str, gold: Sequence[str]) -> bool:
        """Whether the answer's score reaches the threshold."""
        return self.score(answer, gold) >= self.threshold


def grade_records(records: Sequence[AnswerSet], grader: Grader) -> Iterator[Verdict]:
    """Yield verdicts on the records' scored answers in order; the records' own labels are ignored.

    Args:
        records: The records.
        grader: The grader.
    """
    if isinstance(grader, RecordGrader):
        yield from grader.grade(records)
        return
    for record in records:
        yield Verdict(grader(scored_answer(record), record.gold)) if record.gold else NO_GOLD


def label_of(record: AnswerSet, grader: Grader) -> int | None:
    """The record's own label, else the grade of its scored answer; None if the record has no gold answers either."""
    if record.label is not None:
        return record.label
    (verdict,) = grade_records([record], grader)
    return None if verdict.correct is None else int(verdict.correct)
