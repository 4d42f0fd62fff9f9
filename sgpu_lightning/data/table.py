"""All answer sets of some sources: what is kept of each beside its vectors, and the vectors run after run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from sgpu_lightning.answers.grading import Grader, label_of
from sgpu_lightning.answers.groups import group_key_hash
from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.scored_answer import scored_answer
from sgpu_lightning.answers.storage.vectors import VectorError, VectorShard, VectorSpec, describe_specs, specs_match
from sgpu_lightning.answers.text_statistics import AnswerTexts
from sgpu_lightning.data.sources import Source
from sgpu_lightning.data.splits import SplitError
from sgpu_lightning.features.batch import AnswerBatch, TextBatch, view_weight
from sgpu_lightning.gp.cluster_weights import variants_of

_RUN = 1024  # answer sets at a time: bounds the memory of a run's padded vectors


@dataclass(frozen=True, slots=True)
class Row:
    """One answer set without its vectors."""

    id: str
    group: str
    label: int | None
    scored: str
    dataset: str
    model: str
    texts: AnswerTexts = field(compare=False, repr=False)
    answers_hash: int = field(default=0, compare=False)  # within this process


@dataclass
class AnswerTable:
    """Answer sets in a fixed order, from one source after another.

    Args:
        sources: Files and stores.
        rows: One for each answer set, in the sources' order.
    """

    sources: list[Source] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def add(self, source: Source, grader: Grader) -> range:
        """Read a source's texts and labels.

        Returns:
            The new rows' positions.
        """
        start = len(self.rows)
        for record in source.records():
            self.rows.append(
                Row(
                    id=record.id,
                    group=record.group_key,
                    label=label_of(record, grader),
                    scored=scored_answer(record),
                    dataset=record.dataset,
                    model=record.model,
                    texts=AnswerTexts.of(record),
                    answers_hash=hash(record.answers),
                )
            )
        self.sources.append(source)
        return range(start, len(self.rows))

    def records(self) -> Iterator[AnswerSet]:
        """The records themselves, read again, in the rows' order."""
        for source in self.sources:
            yield from source.records()

    def refuse_duplicates(self) -> None:
        """Refuse an answer set that is there twice: it would count twice, and make figures look surer than they are.

        Raises:
            SplitError: Naming the first one.
        """
        seen: set[tuple[object, ...]] = set()
        for row in self.rows:
            key = (row.id, row.dataset, row.model, row.group, row.answers_hash)
            if key in seen:
                names = ", ".join(source.name for source in self.sources)
                raise SplitError(
                    f"answer set '{row.id}' is there twice, with the same answers ({names}): expected each set once; "
                    "give each file or store once"
                )
            seen.add(key)

    @cached_property
    def labels(self) -> Tensor:
        """1.0 right, 0.0 wrong, NaN unknown; float64 [n]."""
        return torch.tensor([np.nan if row.label is None else row.label for row in self.rows], dtype=torch.float64)

    def texts(self, low: int = 0, high: int | None = None, width: int | None = None) -> TextBatch:
        """The texts of the answer sets from position ``low`` to before ``high``, padded to ``width`` answers."""
        return TextBatch.collate([row.texts for row in self.rows[low:high]], width)

    @cached_property
    def group_hashes(self) -> Tensor:
        """Each set's group as a number, int64 [n]; see `group_key_hash`."""
        return torch.tensor([group_key_hash(row.group) for row in self.rows], dtype=torch.long)

    @cached_property
    def variants(self) -> Tensor:
        """See `variants_of`, int64 [n]."""
        return variants_of([row.model for row in self.rows], [row.group for row in self.rows])

    def specs(self) -> tuple[VectorSpec, ...]:
        """What made the vectors, one for each layer.

        Raises:
            VectorError: If the sources' vectors are of different kinds.
        """
        first, *others = self.sources
        ours = first.specs()
        for source in others:
            if not specs_match(ours, source.specs()):
                raise VectorError(
                    f"vectors of different kinds: {first.name} has {describe_specs(ours)}, {source.name} has "
                    f"{describe_specs(source.specs())}; use one encoder, or one token rule and number of layers, "
                    "for all"
                )
        return ours

    def runs(self) -> Iterator[AnswerBatch]:
        """The answer sets with their vectors, about a thousand at a time, in order."""
        start = 0
        for source in self.sources:
            for shards in source.vectors():
                for vectors, scored, mask, question in _pad(shards):
                    index = torch.arange(start, start + len(mask))
                    start += len(mask)
                    if start > len(self.rows):
                        raise _changed(start, len(self.rows))
                    yield AnswerBatch(
                        index=index,
                        label=self.labels[index],
                        texts=self._texts_like(mask, start - len(mask)),
                        question=question,
                        vectors=vectors,
                        scored=scored,
                        mask=mask,
                    )
        if start < len(self.rows):
            raise _changed(start, len(self.rows))

    def _texts_like(self, mask: Tensor, low: int) -> TextBatch:
        """The texts of the answer sets from position ``low`` on, of as many answers as have vectors."""
        for row, count in zip(self.rows[low : low + len(mask)], mask.sum(1).tolist(), strict=True):
            if row.texts.count != count:
                raise VectorError(
                    f"answer set '{row.id}': expected vectors of its {row.texts.count} answers, got {count}; has a "
                    "source changed?"
                )
        return self.texts(low, low + len(mask), mask.shape[1])

    def with_features(self, views: Sequence[Tensor], weight: Tensor | None = None) -> AnswerBatch:
        """All answer sets as one batch of features, view after view; views of one set share its weight.

        Args:
            views: Features of all answer sets, [n, F] each.
            weight: How many answer sets each counts for, [n]; None: one each.
        """
        count = len(views)
        return AnswerBatch(
            index=torch.arange(len(self.rows)).repeat(count),
            label=self.labels.repeat(count),
            features=torch.cat(list(views)),
            weight=view_weight(weight, len(self.rows), count),
        )

    def with_vectors(self) -> AnswerBatch:
        """All answer sets as one batch of vectors, in memory.

        Raises:
            VectorError: If their dimensions differ.
        """
        runs = list(self.runs())
        dims = {run.vectors.shape[-1] for run in runs if run.vectors is not None}
        if len(dims) > 1:
            raise VectorError(
                f"vectors of unequal dimensions {sorted(dims)}: what is learned on vectors needs one dimension"
            )
        width = max(run.mask.shape[1] for run in runs if run.mask is not None)
        return AnswerBatch(
            index=torch.arange(len(self.rows)),
            label=self.labels,
            texts=self.texts(width=width),
            question=_join_known([run.question for run in runs]),
            vectors=_join([run.vectors for run in runs], 2, width),
            scored=torch.cat([run.scored for run in runs if run.scored is not None]),
            mask=_join([run.mask for run in runs], 1, width),
        )


def _changed(got: int, expected: int) -> VectorError:
    return VectorError(f"read vectors of {got} answer sets, expected {expected}; has a source changed?")


def _join_known(parts: Sequence[Tensor | None]) -> Tensor | None:
    known = [part for part in parts if part is not None]
    return torch.cat(known) if known and len(known) == len(parts) else None


def _pad(shards: tuple[VectorShard, ...]) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor | None]]:
    """Vectors [B, L, N, d], scored [B, L, d], mask [B, N] and question similarity [B] of parts of a shard."""
    if len(dims := {shard.answers.shape[-1] for shard in shards}) > 1:
        raise VectorError(
            f"layers of unequal dimensions {sorted(dims)}: expected one, to use several layers together; choose "
            "one with layers"
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
    if bool(mask.all()):
        return flat.reshape(*mask.shape, -1)
    padded = flat.new_zeros(*mask.shape, flat.shape[-1])
    padded[mask] = flat
    return padded


def _join(parts: Sequence[Tensor | None], axis: int, width: int) -> Tensor:
    """Concatenate along sets after padding ``axis`` with zeros to ``width``."""
    padded = []
    for part in parts:
        assert part is not None
        missing = list(part.shape)
        missing[axis] = width - part.shape[axis]
        padded.append(torch.cat([part, part.new_zeros(missing)], dim=axis))
    return torch.cat(padded)
