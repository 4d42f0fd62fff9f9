"""What scores are computed from: answer sets prepared once, cut into groups of equal N and equal inputs.

Shapes: B answer sets, N answers of the longest, d vector length; b sets of n answers each in a group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import torch
from torch import Tensor

from sgpu_lightning.answers.normalisation import normalise
from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.scored import majority_index
from sgpu_lightning.answers.storage.vectors import VectorShard
from sgpu_lightning.baselines.nli import NLI, NLIMatrices, nli_matrices
from sgpu_lightning.baselines.stored import StoredNumbers
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.gram_kernels import cosine_gram

Need = Literal[
    "vectors",
    "scored_vector",
    "similarity",
    "nli",
    "scored_nli",
    "logprobs",
    "answer_tokens",
    "scored_logprob",
    "token_entropies",
    "p_true",
]
NEEDS: tuple[Need, ...] = get_args(Need)

REASONS: dict[Need, str] = {
    "vectors": "no vectors were given",
    "scored_vector": "no vectors of the scored answers were given",
    "similarity": "no similarity matrices were given",
    "nli": "no NLI model or matrices were given",
    "scored_nli": "no NLI model, or no NLI matrices of the scored answers, were given",
    "logprobs": "the record has no 'logprobs'",
    "answer_tokens": "the record's meta has no 'answer_tokens', N positive numbers of tokens",
    "scored_logprob": (
        "the scored answer's log-probability and number of tokens are not in the record (meta 'greedy_logprob' and "
        "'greedy_tokens', or 'logprobs' and 'answer_tokens' where the majority answer is scored)"
    ),
    "token_entropies": (
        "the record's meta has no 'token_entropies', the entropy of the model's distribution at each token of the "
        "scored answer; it takes the model to compute them"
    ),
    "p_true": (
        "the record's meta has no 'p_true', the probability the model itself gives to its scored answer being true; "
        "it takes the model to ask it"
    ),
}


@dataclass(kw_only=True)
class ScoreInputs:
    """Answer sets and what is known of them; every score takes the same.

    Args:
        records: The B answer sets.
        vectors: Vectors of the answers, any float dtype [B, N, d]; rows from a set's own n on are ignored.
        scored: Vectors of the scored answers, [B, d].
        similarity: Symmetric similarities of the answers with unit diagonal, in [0, 1], [B, N, N], from wherever.
        nli: An NLI model, which is asked when the first score needs it, or its finished `NLIMatrices`.

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
        """From records and their vectors as stores and encoders give them.

        Raises:
            SGPUError: If the shard is of other answer sets.
        """
        counts = torch.from_numpy(shard.counts)
        if counts.tolist() != [len(record.answers) for record in records]:
            raise SGPUError("vectors: expected as many for each set as the records have answers; has a source changed?")
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
        """Which answer is scored: None for the greedy one, else the index of the majority answer."""
        return [None if record.greedy is not None else majority_index(record.answers) for record in self.records]

    @cached_property
    def texts(self) -> TextTable:
        """The distinct texts, and where they stand."""
        return TextTable.of(self.records, self.scored_index)

    @cached_property
    def stored(self) -> StoredNumbers:
        """Log-probabilities and what else the records hold of the model's own numbers."""
        return StoredNumbers.of(self.records, self.scored_index)

    @cached_property
    def nli_matrices(self) -> NLIMatrices:
        """What the NLI model says of all pairs; asked once, each distinct pair once."""
        assert self.nli is not None
        return self.nli if isinstance(self.nli, NLIMatrices) else nli_matrices(self.records, self.nli)

    def available(self, need: Need) -> Tensor:
        """Which sets have this input, bool [B]."""
        given = {"vectors": self.vectors, "scored_vector": self.scored, "similarity": self.similarity, "nli": self.nli}
        given["scored_nli"] = self.nli.scored if isinstance(self.nli, NLIMatrices) else self.nli
        if need in given:
            return torch.full((len(self),), given[need] is not None)
        return self.stored.available(need)

    @cached_property
    def groups(self) -> list[SetGroup]:
        """Sets of equal N that have the same inputs, in groups."""
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


@dataclass(frozen=True)
class TextTable:
    """Distinct texts, so that each is looked at once.

    Args:
        distinct: The texts.
        answers: Which of them each answer is, int64 [B, N], -1 past the set's own.
        scored: Which of them each scored answer is, int64 [B].
    """

    distinct: list[str]
    answers: Tensor
    scored: Tensor

    @classmethod
    def of(cls, records: Sequence[AnswerSet], scored_index: Sequence[int | None]) -> TextTable:
        """Number the records' texts."""
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
        """A number for each distinct text, equal where texts are equal after normalisation; int64 [texts]."""
        number: dict[str, int] = {}
        return torch.tensor([number.setdefault(normalise(text), len(number)) for text in self.distinct])


@dataclass
class SetGroup:
    """b answer sets of n answers each that have the same inputs; what several scores need is computed once.

    Args:
        inputs: All answer sets.
        rows: Which of them these are, int64 [b].
        count: n.
        has: The inputs they have.
    """

    inputs: ScoreInputs
    rows: Tensor
    count: int
    has: frozenset[Need]
    memory: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def remember(self, key: str, make: Callable[[], Tensor]) -> Tensor:
        """What ``make`` gives, made at the first call with this key."""
        if key not in self.memory:
            self.memory[key] = make()
        return self.memory[key]

    @cached_property
    def text_ids(self) -> Tensor:
        """Which distinct text each answer is, int64 [b, n]."""
        return self.inputs.texts.answers[self.rows, : self.count]

    @cached_property
    def scored_ids(self) -> Tensor:
        """Which distinct text each scored answer is, int64 [b]."""
        return self.inputs.texts.scored[self.rows]

    @cached_property
    def normal_ids(self) -> Tensor:
        """The answers' texts after normalisation, numbered, int64 [b, n]."""
        return self.inputs.texts.normal_ids[self.text_ids]

    @cached_property
    def vectors(self) -> Tensor:
        """The answers' vectors, [b, n, d]."""
        assert self.inputs.vectors is not None
        return self.inputs.vectors[self.rows, : self.count]

    @cached_property
    def _all_cosines(self) -> Tensor:
        scored = self.inputs.scored
        # On a GPU the product of long vectors is worth it; what follows, on n x n numbers, is not.
        return cosine_gram(self.vectors, None if scored is None else scored[self.rows]).cpu()

    @cached_property
    def cosines(self) -> Tensor:
        """Cosines of the answers in [-1, 1], round-off clamped; float64 [b, n, n]."""
        return self._all_cosines[:, : self.count, : self.count].clamp(-1.0, 1.0)

    @cached_property
    def scored_cosines(self) -> Tensor:
        """Cosines of the scored answer to the answers, float64 [b, n]."""
        return self._all_cosines[:, self.count, : self.count].clamp(-1.0, 1.0)

    @cached_property
    def similarity(self) -> Tensor:
        """The given similarities, float64 [b, n, n].

        Raises:
            SGPUError: If they are no similarities.
        """
        assert self.inputs.similarity is not None
        values = self.inputs.similarity[self.rows, : self.count, : self.count].cpu().double()
        unit = torch.allclose(values.diagonal(dim1=1, dim2=2), torch.ones((), dtype=torch.float64))
        if not (unit and bool(((values >= 0) & (values <= 1)).all()) and torch.allclose(values, values.mT)):
            raise SGPUError(
                "similarity: expected symmetric matrices of numbers in [0, 1] with unit diagonal, got others; clamp "
                "negative cosines, and take the mean of both directions"
            )
        return values

    @cached_property
    def nli(self) -> NLIMatrices:
        """What the NLI model says, of these sets.

        Raises:
            SGPUError: If that is not finite.
        """
        matrices = self.inputs.nli_matrices.take(self.rows, self.count)
        if not torch.isfinite(matrices.logits).all():
            raise SGPUError("nli: expected finite logits, got NaN or infinity; check the NLI model")
        return matrices

    @cached_property
    def stored(self) -> StoredNumbers:
        """The model's own numbers, of these sets."""
        return self.inputs.stored.take(self.rows, self.count)

    def pairs(self, function: Callable[[str, str], float], *, symmetric: bool = True) -> Tensor:
        """A function of two texts on all pairs i < j of each set, called once for each distinct pair.

        Args:
            function: Of the earlier and the later text.
            symmetric: Whether their order does not matter.

        Returns:
            Float64 [b, n, n], with nothing but zeros on and below the diagonal.
        """
        first, second = torch.triu_indices(self.count, self.count, offset=1)
        ids = torch.stack([self.text_ids[:, first], self.text_ids[:, second]], dim=-1)
        ids = ids.sort(dim=-1).values if symmetric else ids
        texts = self.inputs.texts.distinct
        distinct, where = torch.unique(ids[..., 0] * len(texts) + ids[..., 1], return_inverse=True)
        values = [function(texts[key // len(texts)], texts[key % len(texts)]) for key in distinct.tolist()]
        result = torch.zeros(len(self), self.count, self.count, dtype=torch.float64)
        result[:, first, second] = torch.tensor(values, dtype=torch.float64)[where]
        return result
