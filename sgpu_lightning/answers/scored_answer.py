"""The scored answer: the answer that the label of an answer set is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sgpu_lightning.answers.normalisation import normalise
from sgpu_lightning.answers.record import AnswerSet


def majority_index(answers: Sequence[str]) -> int:
    """Index of the majority answer: the most frequent one after normalisation.

    A tie goes to the medoid of the tied answers by mean word overlap (Jaccard similarity) with all answers, then to
    the first. Word overlap is used instead of vectors so that the scored answer does not depend on an encoder.

    Args:
        answers: The sampled answers; at least one.
    """
    normal = [normalise(answer) for answer in answers]
    counts = Counter(normal)
    top = max(counts.values())
    tied = [text for text in counts if counts[text] == top]
    if len(tied) == 1:
        return normal.index(tied[0])
    words = [frozenset(text.split()) for text in normal]

    def similarity(text: str) -> float:
        return sum(_jaccard(frozenset(text.split()), other) for other in words)

    return normal.index(max(tied, key=similarity))


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b) if a | b else 1.0


def scored_answer(record: AnswerSet) -> str:
    """The greedy answer if the record has one, else the majority answer."""
    return record.greedy if record.greedy is not None else record.answers[majority_index(record.answers)]
