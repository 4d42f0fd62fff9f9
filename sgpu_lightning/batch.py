"""A batch of answer sets as tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(slots=True, kw_only=True)
class AnswerBatch:
    """B answer sets, padded to the N answers of the longest.

    Either ``vectors`` (with ``scored`` and ``mask``) or ready ``features`` are there, or both.

    Args:
        index: Position of each set in the data module, int64 [B].
        label: 1.0 right, 0.0 wrong, NaN unknown; float64 [B].
        vectors: [B, L, N, d]; padding rows are 0.
        scored: Vector of the scored answer, [B, L, d].
        mask: True for real answers, bool [B, N].
        match: Share of answers equal to the scored one after normalisation, float64 [B].
        lengths: Of the scored answer and the answers, float64 [B, 6]; see `answer_lengths`.
        question: Cosine of the scored answer to the question, float64 [B].
        features: What the GP sees, float64 [B, F].
    """

    index: Tensor
    label: Tensor
    vectors: Tensor | None = None
    scored: Tensor | None = None
    mask: Tensor | None = None
    match: Tensor | None = None
    lengths: Tensor | None = None
    question: Tensor | None = None
    features: Tensor | None = None

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Tensor) -> AnswerBatch:
        """The sets at these positions, int64 [b]."""

        def at(column: Tensor | None) -> Tensor | None:
            return None if column is None else column[rows]

        return AnswerBatch(
            index=self.index[rows],
            label=self.label[rows],
            vectors=at(self.vectors),
            scored=at(self.scored),
            mask=at(self.mask),
            match=at(self.match),
            lengths=at(self.lengths),
            question=at(self.question),
            features=at(self.features),
        )


def batch_of_vectors(
    vectors: Tensor,
    scored: Tensor | None = None,
    match: Tensor | None = None,
    lengths: Tensor | None = None,
    question: Tensor | None = None,
) -> AnswerBatch:
    """A batch from vectors in memory, all sets with the same N.

    Args:
        vectors: [B, N, d] (black-box) or [B, L, N, d].
        scored: [B, d] or [B, L, d]; only needed by feature blocks that look at the scored answer.
        match: [B]; likewise.
        lengths: [B, 6]; likewise.
        question: [B]; likewise.
    """
    vectors = vectors.unsqueeze(1) if vectors.ndim == 3 else vectors
    if scored is not None and scored.ndim == 2:
        scored = scored.unsqueeze(1)
    size, _, count, _ = vectors.shape
    return AnswerBatch(
        index=torch.arange(size),
        label=torch.full((size,), torch.nan, dtype=torch.float64),
        vectors=vectors,
        scored=scored,
        mask=torch.ones(size, count, dtype=torch.bool, device=vectors.device),
        match=match,
        lengths=lengths,
        question=question,
    )
