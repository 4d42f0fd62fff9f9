"""What a grader is, and how records are graded with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.scored import scored_answer
from sgpu_lightning.errors import SGPUError


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a grader says of one record.

    Args:
        correct: Whether the scored answer is right; None where there is no verdict.
        reason: Why, where the grader gives a reason; why not, where there is no verdict.
    """

    correct: bool | None
    reason: str = ""


@runtime_checkable
class RecordGrader(Protocol):
    """A grader that needs more of a record than its scored answer and gold answers.

    One that has ``apply(record, verdict)`` too says itself what of its verdict the record keeps.
    """

    def grade(self, records: Sequence[AnswerSet]) -> Sequence[Verdict]:
        """Verdicts in the order of the records; none (``correct`` None) where there is no gold."""
        ...


AnswerGrader: TypeAlias = Callable[[str, Sequence[str]], bool]
Grader: TypeAlias = AnswerGrader | RecordGrader
NO_GOLD = Verdict(None, "no gold answers")


@dataclass(frozen=True)
class ScoreGrader:
    """Right where a score reaches a threshold.

    Args:
        score: Of an answer given its gold answers, in [0, 1].
        threshold: What counts as right, from 0 (exclusive) to 1.

    Raises:
        SGPUError: If the threshold is out of range.
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
    """Verdicts on the records' scored answers, in their order; the records' own labels play no part."""
    if isinstance(grader, RecordGrader):
        yield from grader.grade(records)
        return
    for record in records:
        yield Verdict(grader(scored_answer(record), record.gold)) if record.gold else NO_GOLD


def label_of(record: AnswerSet, grader: Grader) -> int | None:
    """The record's own label, else the grade of its scored answer, else None where there is no gold either."""
    if record.label is not None:
        return record.label
    (verdict,) = grade_records([record], grader)
    return None if verdict.correct is None else int(verdict.correct)
