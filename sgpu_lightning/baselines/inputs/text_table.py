"""The distinct texts of many answer sets, so that each text and each pair of texts is processed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sgpu_lightning.answers.normalisation import normalise
from sgpu_lightning.answers.record import AnswerSet


@dataclass(frozen=True)
class TextTable:
    """Distinct texts, and the number of each answer's text.

    Args:
        distinct: The distinct texts.
        answers: Number of each answer's text in ``distinct``, int64 [B, N]; -1 is padding.
        scored: Number of each scored answer's text in ``distinct``, int64 [B].
    """

    distinct: list[str]
    answers: Tensor
    scored: Tensor

    @classmethod
    def of(cls, records: Sequence[AnswerSet], scored_index: Sequence[int | None]) -> TextTable:
        """Number the texts of answer sets.

        Args:
            records: The B answer sets.
            scored_index: Index of each set's scored answer; None if the greedy answer is scored.
        """
        number: dict[str, int] = {}
        answers = [[number.setdefault(text, len(number)) for text in record.answers] for record in records]
        scored = [
            number.setdefault(record.greedy or "", len(number)) if index is None else row[index]
            for record, row, index in zip(records, answers, scored_index, strict=True)
        ]
        longest = max(map(len, answers))
        padded = torch.tensor([row + [-1] * (longest - len(row)) for row in answers])
        return cls(list(number), padded, torch.tensor(scored))

    @cached_property
    def normal_ids(self) -> Tensor:
        """A number for each distinct text, the same if texts are equal after normalisation; int64 [texts]."""
        number: dict[str, int] = {}
        return torch.tensor([number.setdefault(normalise(text), len(number)) for text in self.distinct])
