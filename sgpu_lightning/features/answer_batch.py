"""A batch of answer sets as tensors, the input of the LightningModule.

A user's own DataLoader may yield an `AnswerBatch`, or a mapping with its fields as keys; see `AnswerBatch.of`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from sgpu_lightning.answers.text_statistics import AnswerTexts
from sgpu_lightning.errors import SGPUError, show_value

_Batch = TypeVar("_Batch", "TextBatch", "AnswerBatch")


@dataclass(slots=True, kw_only=True)
class TextBatch:
    """Text statistics of B answer sets, padded to N answers. The scored answer is the last column.

    Args:
        ids: Number of each text within its set; texts that are equal after normalisation share one. Int64 [B, N + 1],
            padding -1.
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
            texts: Text statistics of each answer set.
            width: Number of answers N to pad to; None for the N of the longest set.
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
        """Select the sets at these positions, int64 [b]."""
        return _take(self, rows)


@dataclass(slots=True, kw_only=True)
class AnswerBatch:
    """B answer sets, padded to the N answers of the longest.

    Prediction needs either ``vectors`` or precomputed ``features``; fitting and evaluation also need ``label``. Which
    of the other fields are needed depends on the feature blocks (docs/features.md).

    Args:
        index: Position of each set in its data, int64 [B].
        label: 1.0 right, 0.0 wrong, NaN unknown; float64 [B].
        vectors: Vectors of the answers, [B, L, N, d]; padding rows are 0.
        scored: Vector of the scored answer, [B, L, d].
        mask: True for real answers, bool [B, N]; None if there is no padding.
        texts: Statistics of the texts.
        question: Cosine similarity of the scored answer and the question, float64 [B].
        features: Features for the GP, float64 [B, F].
        weight: Number of independent answer sets that each set counts for in fitting, float64 [B]; None if each counts
            for one.
        group: Number of each set's group, int64 [B], see `group_key_hash`. Sets of groups that were fitted on are
            refused in evaluation. None if the groups are not known.
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
    group: Tensor | None = None

    def __len__(self) -> int:
        return len(self.index)

    @classmethod
    def of(cls, batch: AnswerBatch | Mapping[str, Any]) -> AnswerBatch:
        """Convert what a DataLoader yields to a batch.

        Args:
            batch: An `AnswerBatch`, or a mapping with some of its fields as keys. ``vectors`` may also be
                [B, N, d] and ``scored`` [B, d] (one layer); ``index`` defaults to 0, ..., B - 1, ``label`` to NaN.

        Raises:
            SGPUError: If ``batch`` is neither, has an unknown key, or has neither vectors nor features.
        """
        if isinstance(batch, AnswerBatch):
            return batch
        names = [field.name for field in fields(cls)]
        if not isinstance(batch, Mapping) or set(batch) - set(names) or not {"vectors", "features"} & set(batch):
            got = f"keys {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else show_value(batch)
            raise SGPUError(
                f"batch: expected an AnswerBatch, or a mapping with 'vectors' [B, N, d] or 'features' [B, F] and "
                f"further keys out of {', '.join(names)}, got {got}; give the DataLoader a dataset of such mappings"
            )
        return _completed(dict(batch))

    def labelled(self) -> AnswerBatch:
        """The sets whose label is known."""
        return self.take((~self.label.isnan()).nonzero().squeeze(1))

    def take(self, rows: Tensor) -> AnswerBatch:
        """Select the sets at these positions, int64 [b]."""
        return _take(self, rows)


def _take(batch: _Batch, rows: Tensor) -> _Batch:
    """Select the same positions from every field of a batch."""

    def at(column: Any) -> Any:
        if column is None:
            return None
        return column[rows] if isinstance(column, Tensor) else column.take(rows)

    return type(batch)(**{field.name: at(getattr(batch, field.name)) for field in fields(batch)})


def batch_of_vectors(
    vectors: Tensor,
    scored: Tensor | None = None,
    texts: TextBatch | None = None,
    question: Tensor | None = None,
) -> AnswerBatch:
    """Make a batch from vectors in memory, where all sets have the same N.

    Args:
        vectors: Vectors of the answers, [B, N, d] (black-box) or [B, L, N, d].
        scored: Vector of the scored answer, [B, d] or [B, L, d]. Only feature blocks about the scored answer need it.
        texts: Statistics of the texts. Only feature blocks about texts need them.
        question: Cosine similarity of the scored answer and the question, [B]. Only the feature block ``question``
            needs it.
    """
    return _completed({"vectors": vectors, "scored": scored, "texts": texts, "question": question})


def _completed(columns: dict[str, Any]) -> AnswerBatch:
    """Make a batch from some of its fields: add the layer axis, and the defaults of the other fields."""
    vectors, scored = columns.get("vectors"), columns.get("scored")
    size = len(columns["features"] if vectors is None else vectors)
    if vectors is not None:
        columns["vectors"] = vectors = vectors.unsqueeze(1) if vectors.ndim == 3 else vectors
        mask = columns.get("mask")
        all_real = torch.ones(size, vectors.shape[2], dtype=torch.bool, device=vectors.device)
        columns["mask"] = all_real if mask is None else mask.bool()
        if bool((columns["mask"].sum(1) < 2).any()):
            raise SGPUError(
                "batch: expected at least 2 answers of each set, got fewer; 'vectors' are [B, N, d], and 'mask' [B, N] "
                "marks the real answers"
            )
    if scored is not None and scored.ndim == 2:
        columns["scored"] = scored.unsqueeze(1)
    if columns.get("index") is None:
        columns["index"] = torch.arange(size)
    label = columns.get("label")
    columns["label"] = label = (
        torch.full((size,), torch.nan, dtype=torch.float64) if label is None else label.double().reshape(size)
    )
    if bool(((label != 0) & (label != 1) & ~label.isnan()).any()):
        raise SGPUError(f"batch: label: expected 1 (right), 0 (wrong) or NaN (unknown), got {label.tolist()[:5]}, ...")
    return AnswerBatch(**columns)
