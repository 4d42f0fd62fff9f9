"""A table of answer sets from several sources without vectors: id, group, label and text statistics of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor

from sgpu_lightning.answers.grading import Grader, label_of
from sgpu_lightning.answers.groups import group_key_hash
from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.scored_answer import scored_answer
from sgpu_lightning.answers.text_statistics import AnswerTexts
from sgpu_lightning.data.sources import Source
from sgpu_lightning.data.splits import SplitError
from sgpu_lightning.features.answer_batch import TextBatch
from sgpu_lightning.gp.cluster_weights import cluster_ids


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
    answers_hash: int = field(default=0, compare=False)  # valid within this process only


@dataclass
class AnswerTable:
    """Answer sets of several sources, in the order of the sources.

    Args:
        sources: Files and stores.
        rows: One row for each answer set, in the order of the sources.
        key: Unique key of the table, under which results computed from it are cached.
    """

    sources: list[Source] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    key: str = field(default_factory=lambda: uuid4().hex)

    def add(self, source: Source, grader: Grader) -> range:
        """Read a source's texts and labels.

        Returns:
            The positions of the new rows.
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
        """Read the records again, in the order of the rows."""
        for source in self.sources:
            yield from source.records()

    def refuse_duplicates(self) -> None:
        """Refuse an answer set that occurs twice, because it would count twice and make intervals too narrow.

        Raises:
            SplitError: If an answer set occurs twice; the message names the first.
        """
        seen: set[tuple[object, ...]] = set()
        for row in self.rows:
            key = (row.id, row.dataset, row.model, row.group, row.answers_hash)
            if key in seen:
                names = ", ".join(source.name for source in self.sources)
                raise SplitError(
                    f"answer set '{row.id}' occurs twice, with the same answers ({names}): expected each set once; "
                    "give each file or store once"
                )
            seen.add(key)

    @cached_property
    def labels(self) -> Tensor:
        """1.0 right, 0.0 wrong, NaN unknown; float64 [n]."""
        return torch.tensor([np.nan if row.label is None else row.label for row in self.rows], dtype=torch.float64)

    def texts(self, low: int = 0, high: int | None = None, width: int | None = None) -> TextBatch:
        """Text statistics of the answer sets from position ``low`` to before ``high``, padded to ``width`` answers."""
        return TextBatch.collate([row.texts for row in self.rows[low:high]], width)

    @cached_property
    def group_hashes(self) -> Tensor:
        """The number of each set's group, int64 [n]; see `group_key_hash`."""
        return torch.tensor([group_key_hash(row.group) for row in self.rows], dtype=torch.long)

    @cached_property
    def variants(self) -> Tensor:
        """The number of each set's cluster, int64 [n]; see `cluster_ids`."""
        return cluster_ids([row.model for row in self.rows], [row.group for row in self.rows])
