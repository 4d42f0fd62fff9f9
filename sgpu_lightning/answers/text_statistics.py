"""Statistics of the texts of an answer set: which texts are equal, their word overlap and their lengths."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sgpu_lightning.answers.normalisation import normalise
from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.scored_answer import scored_answer

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class AnswerTexts:
    """Statistics of the texts of one answer set: the N answers, then the scored answer.

    Args:
        ids: Number of each distinct text, from 0; texts that are equal after normalisation share one, int64 [N + 1].
        overlap: Jaccard similarity of the word sets of the D distinct texts, float32 [D, D].
        lengths: log(1 + words) and log(1 + characters), float32 [N + 1, 2].
        logprobs: Summed log-probability (nats) of each answer, NaN where unknown; float32 [N].
    """

    ids: npt.NDArray[np.int64]
    overlap: npt.NDArray[np.float32]
    lengths: npt.NDArray[np.float32]
    logprobs: npt.NDArray[np.float32]

    @classmethod
    def of(cls, record: AnswerSet) -> AnswerTexts:
        """Compute the statistics of a record's texts."""
        texts = (*record.answers, scored_answer(record))
        numbers: dict[str, int] = {}
        ids = [numbers.setdefault(normalise(text), len(numbers)) for text in texts]
        return cls(
            np.array(ids, dtype=np.int64),
            _overlap([frozenset(text.split()) for text in numbers]),
            np.array([(math.log1p(len(text.split())), math.log1p(len(text))) for text in texts], dtype=np.float32),
            np.array(record.logprobs or [math.nan] * len(record.answers), dtype=np.float32),
        )

    @property
    def count(self) -> int:
        """Number of answers N, without the scored answer."""
        return len(self.logprobs)


def _overlap(words: list[frozenset[str]]) -> npt.NDArray[np.float32]:
    """Jaccard similarity of every pair of word sets; 1 for two empty sets."""
    found = np.ones((len(words), len(words)), dtype=np.float32)
    for i, ours in enumerate(words):
        for j, theirs in enumerate(words[:i]):
            union = len(ours | theirs)
            found[i, j] = found[j, i] = len(ours & theirs) / union if union else 1.0
    return found
