"""Inputs of the scores: answer sets with their vectors, similarities and NLI judgements, grouped by N and by inputs.

Shapes: B answer sets, N answers of the longest set, d vector length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.scored import majority_index
from sgpu_lightning.answers.storage.vectors import VectorShard
from sgpu_lightning.baselines.inputs.nli import NLI, NLIMatrices, nli_matrices
from sgpu_lightning.baselines.inputs.score_needs import NEEDS, Need
from sgpu_lightning.baselines.inputs.set_group import SetGroup
from sgpu_lightning.baselines.inputs.stored_numbers import StoredNumbers
from sgpu_lightning.baselines.inputs.text_table import TextTable
from sgpu_lightning.errors import SGPUError


@dataclass(kw_only=True)
class ScoreInputs:
    """Answer sets with their inputs; every score takes the same object.

    Args:
        records: The B answer sets.
        vectors: Vectors of the answers, any float dtype [B, N, d]; rows from a set's own n on are ignored.
        scored: Vectors of the scored answers, [B, d]; they need ``vectors`` too.
        similarity: Symmetric similarities of the answers with unit diagonal, in [0, 1], [B, N, N], from any source.
        nli: An NLI model, which is run when the first score needs it, or the `NLIMatrices` it gave before.

    Raises:
        SGPUError: If shapes do not fit the records.
    """

    records: Sequence[AnswerSet]
    vectors: Tensor | None = None
    scored: Tensor | None = None
    similarity: Tensor | None = None
    nli: NLI | NLIMatrices | None = None

    def __post_init__(self) -> None:
        if not self.records:
            raise SGPUError("records: expected at least one answer set, got none")
        sets, longest = len(self.records), int(self.counts.max())
        pairwise = [("vectors", self.vectors, 3), ("similarity", self.similarity, 3)]
        if isinstance(self.nli, NLIMatrices):
            pairwise += [("nli.logits", self.nli.logits, 4), ("nli.scored", self.nli.scored, 3)]
        for name, value, axes in pairwise:
            if value is not None and (value.ndim != axes or len(value) != sets or value.shape[1] < longest):
                raise SGPUError(
                    f"{name}: expected {axes} axes, the first {sets} (answer sets), the second at least {longest} "
                    f"(the most answers of a set), got shape {tuple(value.shape)}"
                )
        if self.scored is not None and (self.scored.ndim != 2 or len(self.scored) != sets):
            raise SGPUError(f"scored: expected shape ({sets}, d), got {tuple(self.scored.shape)}")
        if self.scored is not None and self.vectors is None:
            raise SGPUError("scored: expected the answers' vectors too, got none")

    @classmethod
    def from_shard(
        cls, records: Sequence[AnswerSet], shard: VectorShard, nli: NLI | NLIMatrices | None = None
    ) -> ScoreInputs:
        """Make the inputs from records and the vectors that a store or an encoder gives.

        Args:
            records: The B answer sets.
            shard: Their vectors, in the same order.
            nli: An NLI model or its `NLIMatrices`.

        Raises:
            SGPUError: If the shard belongs to other answer sets.
        """
        counts = torch.from_numpy(shard.counts)
        if counts.tolist() != [len(record.answers) for record in records]:
            raise SGPUError(
                "vectors: expected as many vectors for each set as the record has answers, got other numbers; has a "
                "source changed since it was embedded?"
            )
        flat = torch.from_numpy(shard.answers)
        mask = torch.arange(int(counts.max())) < counts.unsqueeze(1)
        vectors = flat.new_zeros(*mask.shape, flat.shape[-1])
        vectors[mask] = flat
        return cls(records=records, vectors=vectors, scored=torch.from_numpy(shard.scored), nli=nli)

    def __len__(self) -> int:
        return len(self.records)

    @cached_property
    def counts(self) -> Tensor:
        """Number of answers n of each set, int64 [B]."""
        return torch.tensor([len(record.answers) for record in self.records])

    @cached_property
    def scored_index(self) -> list[int | None]:
        """Index of the scored answer of each set, the majority answer; None if the greedy answer is scored."""
        return [None if record.greedy is not None else majority_index(record.answers) for record in self.records]

    @cached_property
    def texts(self) -> TextTable:
        """The distinct texts, and which of them each answer is."""
        return TextTable.of(self.records, self.scored_index)

    @cached_property
    def stored(self) -> StoredNumbers:
        """Log-probabilities and other numbers of the answering model that the records hold."""
        return StoredNumbers.of(self.records, self.scored_index)

    @cached_property
    def nli_matrices(self) -> NLIMatrices:
        """Judgements of the NLI model about all pairs; computed once, and each distinct pair is judged once."""
        assert self.nli is not None
        return self.nli if isinstance(self.nli, NLIMatrices) else nli_matrices(self.records, self.nli)

    def available(self, need: Need) -> Tensor:
        """Whether each set has this input, bool [B]."""
        given = {"vectors": self.vectors, "scored_vector": self.scored, "similarity": self.similarity, "nli": self.nli}
        given["scored_nli"] = self.nli.scored if isinstance(self.nli, NLIMatrices) else self.nli
        if need in given:
            return torch.full((len(self),), given[need] is not None)
        return self.stored.available(need)

    @cached_property
    def groups(self) -> list[SetGroup]:
        """Groups of the sets, each of equal N and with the same inputs."""
        flags = torch.stack([self.available(need) for need in NEEDS], dim=1)
        kinds, kind = torch.unique(torch.cat([self.counts[:, None], flags], dim=1), dim=0, return_inverse=True)
        return [
            SetGroup(
                inputs=self,
                rows=(kind == i).nonzero().squeeze(1),
                count=int(row[0]),
                has=frozenset(need for need, flag in zip(NEEDS, row[1:].tolist(), strict=True) if flag),
            )
            for i, row in enumerate(kinds)
        ]
