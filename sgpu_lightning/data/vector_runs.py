"""The vectors of an answer table, read in consecutive runs and padded to batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sgpu_lightning.answers.storage.vectors import VectorError, VectorShard, VectorSpec, describe_specs, specs_match
from sgpu_lightning.data.table import AnswerTable
from sgpu_lightning.features.answer_batch import AnswerBatch, TextBatch

_RUN = 1024  # largest number of answer sets in a run, which bounds the memory of its padded vectors


def vector_specs(table: AnswerTable) -> tuple[VectorSpec, ...]:
    """Specifications of the vectors of a table's sources, one for each layer.

    Raises:
        VectorError: If the sources' vectors are of different kinds.
    """
    first, *others = table.sources
    ours = first.specs()
    for source in others:
        if not specs_match(ours, source.specs()):
            raise VectorError(
                f"vectors of different kinds: {first.name} has {describe_specs(ours)}, {source.name} has "
                f"{describe_specs(source.specs())}; use one encoder, or one token rule and number of layers, "
                "for all"
            )
    return ours


def vector_runs(table: AnswerTable) -> Iterator[AnswerBatch]:
    """Yield the answer sets of a table with their vectors in order, about a thousand at a time.

    Raises:
        VectorError: If a source has changed: it holds vectors of more or fewer answer sets or answers than its records.
    """
    start = 0
    for source in table.sources:
        for shards in source.vectors():
            for vectors, scored, mask, question in _pad(shards):
                index = torch.arange(start, start + len(mask))
                start += len(mask)
                if start > len(table.rows):
                    raise _changed(start, len(table.rows))
                yield AnswerBatch(
                    index=index,
                    label=table.labels[index],
                    texts=_texts_like(table, mask, start - len(mask)),
                    question=question,
                    vectors=vectors,
                    scored=scored,
                    mask=mask,
                    group=table.group_hashes[index],
                )
    if start < len(table.rows):
        raise _changed(start, len(table.rows))


def joined_runs(table: AnswerTable, runs: Sequence[AnswerBatch]) -> AnswerBatch:
    """Join several runs of a table into one batch.

    Raises:
        VectorError: If the dimensions of their vectors differ.
    """
    dims = {run.vectors.shape[-1] for run in runs if run.vectors is not None}
    if len(dims) > 1:
        raise VectorError(
            f"vectors of unequal dimensions {sorted(dims)}: expected one dimension, to learn from the vectors"
        )
    width = max(run.mask.shape[1] for run in runs if run.mask is not None)
    index = torch.cat([run.index for run in runs])
    return AnswerBatch(
        index=index,
        label=table.labels[index],
        texts=TextBatch.collate([table.rows[i].texts for i in index.tolist()], width),
        question=_join_known([run.question for run in runs]),
        vectors=_join([run.vectors for run in runs], 2, width),
        scored=torch.cat([run.scored for run in runs if run.scored is not None]),
        mask=_join([run.mask for run in runs], 1, width),
        group=table.group_hashes[index],
    )


def _texts_like(table: AnswerTable, mask: Tensor, low: int) -> TextBatch:
    """Text statistics of the answer sets from position ``low`` on, after a check of the numbers of answers."""
    for row, count in zip(table.rows[low : low + len(mask)], mask.sum(1).tolist(), strict=True):
        if row.texts.count != count:
            raise VectorError(
                f"answer set '{row.id}': expected vectors of its {row.texts.count} answers, got {count}; has a "
                "source changed?"
            )
    return table.texts(low, low + len(mask), mask.shape[1])


def _changed(got: int, expected: int) -> VectorError:
    return VectorError(f"read vectors of {got} answer sets, expected {expected}; has a source changed?")


def _join_known(parts: Sequence[Tensor | None]) -> Tensor | None:
    """Concatenate the parts; None if one of them is not known."""
    known = [part for part in parts if part is not None]
    return torch.cat(known) if known and len(known) == len(parts) else None


def _pad(shards: tuple[VectorShard, ...]) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor | None]]:
    """Yield vectors [B, L, N, d], scored [B, L, d], mask [B, N] and question similarity [B] of parts of a shard."""
    if len(dims := {shard.answers.shape[-1] for shard in shards}) > 1:
        raise VectorError(
            f"layers of unequal dimensions {sorted(dims)}: expected one dimension, to use several layers together; "
            "choose one layer with 'layers'"
        )
    counts = torch.from_numpy(shards[0].counts)
    ends = counts.cumsum(0)
    for low in range(0, len(counts), _RUN):
        part = counts[low : low + _RUN]
        mask = torch.arange(int(part.max())) < part.unsqueeze(1)
        first, last = int(ends[low] - counts[low]), int(ends[low + len(part) - 1])
        vectors = torch.stack([_fill(torch.from_numpy(shard.answers[first:last]), mask) for shard in shards], dim=1)
        scored = torch.stack([torch.from_numpy(shard.scored[low : low + len(part)]) for shard in shards], dim=1)
        similarity = shards[0].question
        question = None if similarity is None else torch.from_numpy(similarity[low : low + len(part)]).double()
        yield vectors, scored, mask, question


def _fill(flat: Tensor, mask: Tensor) -> Tensor:
    """Pad the vectors of all answers, one set after another [n, d], to sets of equal size [B, N, d]."""
    if bool(mask.all()):
        return flat.reshape(*mask.shape, -1)
    padded = flat.new_zeros(*mask.shape, flat.shape[-1])
    padded[mask] = flat
    return padded


def _join(parts: Sequence[Tensor | None], axis: int, width: int) -> Tensor:
    """Concatenate the sets of several parts after padding ``axis`` with zeros to ``width``."""
    padded = []
    for part in parts:
        assert part is not None
        missing = list(part.shape)
        missing[axis] = width - part.shape[axis]
        padded.append(torch.cat([part, part.new_zeros(missing)], dim=axis))
    return torch.cat(padded)
