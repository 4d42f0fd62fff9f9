"""How long answers are: long or uneven ones are less often right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, pstdev

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.scored import scored_answer

NUM_LENGTHS = 6


def answer_lengths(record: AnswerSet) -> tuple[float, ...]:
    """Six numbers: for words, then for characters, of log(1 + length) that of the scored answer, and the mean and
    standard deviation over the answers.
    """  # noqa: D205 - one sentence
    scored = scored_answer(record)
    words = _three(len(scored.split()), [len(answer.split()) for answer in record.answers])
    return words + _three(len(scored), [len(answer) for answer in record.answers])


def _three(scored: int, answers: Sequence[int]) -> tuple[float, float, float]:
    logs = [math.log1p(length) for length in answers]
    return math.log1p(scored), fmean(logs), pstdev(logs)
