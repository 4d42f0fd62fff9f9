"""A batch of answer sets as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from sgpu_lightning.answers.text_statistics import AnswerTexts
from sgpu_lightning.seeding import generator_of

_Batch = TypeVar("_Batch", "TextBatch", "AnswerBatch")


@dataclass(slots=True, kw_only=True)
class TextBatch:
    """The texts of B answer sets as numbers, padded to N answers; the scored answer stands last.

    Args:
        ids: Texts that are equal after normalisation have equal numbers within a set; int64 [B, N + 1], padding -1.
        overlap: Jaccard similarity of the texts' word sets, float32 [B, N + 1, N + 1], padding 0.
        lengths: log(1 + words) and log(1 + characters), float32 [B, N + 1, 2], padding 0.
        logprobs: Summed log-probability (nats) of each answer, NaN where unknown; float32 [B, N], padding NaN.
    """

    ids: Tensor
    overlap: Tensor
    lengths: Tensor
    logprobs: Tensor

    @classmethod
    def collate(cls, texts: Sequence[AnswerTexts], width: int | None = None) -> TextBatch:
        """Pad the texts of several answer sets.

        Args:
            texts: Of each set.
            width: N; None for the longest set's.
        """
        size = max(one.count for one in texts) if width is None else width
        ids = np.full((len(texts), size + 1), -1, dtype=np.int64)
        overlap = np.zeros((len(texts), size + 1, size + 1), dtype=np.float32)
        lengths = np.zeros((len(texts), size + 1, 2), dtype=np.float32)
        logprobs = np.full((len(texts), size), np.nan, dtype=np.float32)
        for i, one in enumerate(texts):
            places = np.append(np.arange(one.count), size)
            ids[i, places] = one.ids
            overlap[i][np.ix_(places, places)] = one.overlap[np.ix_(one.ids, one.ids)]
            lengths[i, places] = one.lengths
            logprobs[i, : one.count] = one.logprobs
        parts = (torch.from_numpy(part) for part in (ids, overlap, lengths, logprobs))
        return cls(**dict(zip(("ids", "overlap", "lengths", "logprobs"), parts, strict=True)))

    def take(self, rows: Tensor) -> TextBatch:
        """The sets at these positions, int64 [b]."""
        return _take(self, rows)


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
        texts: What the texts tell.
        question: Cosine of the scored answer to the question, float64 [B].
        features: What the GP sees, float64 [B, F].
        weight: How many answer sets each counts for in fitting, float64 [B]; None: one each.
    """

    index: Tensor
    label: Tensor
    vectors: Tensor | None = None
    scored: Tensor | None = None
    mask: Tensor | None = None
    texts: TextBatch | None = None
    question: Tensor | None = None
    features: Tensor | None = None
    weight: Tensor | None = None

    def __len__(self) -> int:
        return len(self.index)

    @property
    def total(self) -> float:
        """How many answer sets these count for in fitting."""
        return len(self) if self.weight is None else float(self.weight.sum())

    def take(self, rows: Tensor) -> AnswerBatch:
        """The sets at these positions, int64 [b]."""
        return _take(self, rows)


def _take(batch: _Batch, rows: Tensor) -> _Batch:
    """Every column at these positions."""

    def at(column: Any) -> Any:
        if column is None:
            return None
        return column[rows] if isinstance(column, Tensor) else column.take(rows)

    return type(batch)(**{field.name: at(getattr(batch, field.name)) for field in fields(batch)})


def some_answers(mask: Tensor, fewest: int, generator: torch.Generator, most: int | None = None) -> Tensor:
    """A mask of answers drawn at random: of each set a number from ``fewest`` to ``most``, each number as likely.

    Args:
        mask: True for real answers, bool [B, N].
        fewest: At least 2; sets with no more answers keep all of them.
        generator: What draws.
        most: At least ``fewest``; None for all.
    """
    counts = mask.sum(1)
    least, upper = counts.clamp_max(fewest), counts if most is None else counts.clamp_max(most)
    drawn = least + (torch.rand(len(mask), generator=generator) * (upper - least + 1)).long()
    order = torch.rand(mask.shape, generator=generator).masked_fill(~mask, torch.inf)
    return order.argsort(1).argsort(1) < drawn.unsqueeze(1)


def view_weight(weight: Tensor | None, size: int, count: int) -> Tensor | None:
    """Weights of ``count`` views after one another, which share those of the sets they are of, [count * n].

    Args:
        weight: How many answer sets each of the n counts for, [n]; None: one each.
        size: n.
        count: At least 1; of a single view they are the sets' own.
    """
    if count == 1:
        return weight
    whole = torch.ones(size, dtype=torch.float64) if weight is None else weight
    return (whole / count).repeat(count)


@dataclass(frozen=True, slots=True)
class View:
    """A way to see answer sets with some of their answers, drawn at random; the scored answer stays the same.

    Args:
        seed: Of what is drawn; with it, a set's place in its source.
        fewest: Answers, at least 2; sets with no more keep all of theirs.
        most: Answers; None for all.
    """

    seed: int
    fewest: int
    most: int | None = None

    def __call__(self, batch: AnswerBatch) -> AnswerBatch:
        """The answer sets with other masks."""
        assert batch.mask is not None
        # Seeded by place as well, so that a view does not depend on what was computed before.
        generator = generator_of(self.seed, int(batch.index[0]))
        return replace(batch, mask=some_answers(batch.mask, self.fewest, generator, self.most))


def batch_of_vectors(
    vectors: Tensor,
    scored: Tensor | None = None,
    texts: TextBatch | None = None,
    question: Tensor | None = None,
) -> AnswerBatch:
    """A batch from vectors in memory, all sets with the same N.

    Args:
        vectors: [B, N, d] (black-box) or [B, L, N, d].
        scored: [B, d] or [B, L, d]; only needed by feature blocks that look at the scored answer.
        texts: Of the same sets; only needed by feature blocks that look at texts.
        question: [B]; only needed by the block of that name.
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
        texts=texts,
        question=question,
    )
