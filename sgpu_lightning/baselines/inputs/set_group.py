"""Answer sets of equal N with equal inputs, from which the scores are computed.

Shapes: B answer sets in all, b of them in a group; n answers in each set of the group, d vector length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from sgpu_lightning.baselines.inputs.nli import NLIMatrices
from sgpu_lightning.baselines.inputs.score_needs import Need
from sgpu_lightning.baselines.inputs.stored_numbers import StoredNumbers
from sgpu_lightning.baselines.inputs.text_table import TextTable
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.gram_kernels import cosine_gram


class GroupSource(Protocol):
    """The inputs of all B answer sets, from which a group takes its rows; see `ScoreInputs`."""

    vectors: Tensor | None
    scored: Tensor | None
    similarity: Tensor | None

    @property
    def texts(self) -> TextTable:
        """The distinct texts."""
        ...

    @property
    def stored(self) -> StoredNumbers:
        """Numbers of the answering model."""
        ...

    @property
    def nli_matrices(self) -> NLIMatrices:
        """Judgements of the NLI model about all pairs."""
        ...


@dataclass
class SetGroup:
    """b answer sets of n answers each that have the same inputs; quantities shared by scores are computed once.

    Args:
        inputs: The inputs of all answer sets.
        rows: Indices of the group's sets among all, int64 [b].
        count: Number n of answers in each set.
        has: Kinds of inputs that the sets have.
        cache: Tensors that several scores need, by key; see `cached`.
    """

    inputs: GroupSource
    rows: Tensor
    count: int
    has: frozenset[Need]
    cache: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def cached(self, key: str, make: Callable[[], Tensor]) -> Tensor:
        """Compute a tensor at the first call with a key, and return the same tensor afterwards.

        Args:
            key: Name of the quantity, unique among all scores.
            make: Computes it.
        """
        if key not in self.cache:
            self.cache[key] = make()
        return self.cache[key]

    @cached_property
    def text_ids(self) -> Tensor:
        """Number of each answer's distinct text, int64 [b, n]."""
        return self.inputs.texts.answers[self.rows, : self.count]

    @cached_property
    def scored_ids(self) -> Tensor:
        """Number of each scored answer's distinct text, int64 [b]."""
        return self.inputs.texts.scored[self.rows]

    @cached_property
    def normal_ids(self) -> Tensor:
        """Number of each answer's text after normalisation, int64 [b, n]."""
        return self.inputs.texts.normal_ids[self.text_ids]

    @cached_property
    def vectors(self) -> Tensor:
        """The answers' vectors, [b, n, d]."""
        assert self.inputs.vectors is not None
        return self.inputs.vectors[self.rows, : self.count]

    @cached_property
    def _all_cosines(self) -> Tensor:
        scored = self.inputs.scored
        # A GPU pays off for the products of long vectors, but not for the later steps on n x n numbers.
        return cosine_gram(self.vectors, None if scored is None else scored[self.rows]).cpu()

    @cached_property
    def cosines(self) -> Tensor:
        """Cosines of the answers, clamped to [-1, 1] against round-off; float64 [b, n, n]."""
        return self._all_cosines[:, : self.count, : self.count].clamp(-1.0, 1.0)

    @cached_property
    def scored_cosines(self) -> Tensor:
        """Cosines of the scored answer to the answers, float64 [b, n]."""
        return self._all_cosines[:, self.count, : self.count].clamp(-1.0, 1.0)

    @cached_property
    def similarity(self) -> Tensor:
        """The given similarities, float64 [b, n, n].

        Raises:
            SGPUError: If they are not symmetric, not in [0, 1], or their diagonal is not 1.
        """
        assert self.inputs.similarity is not None
        values = self.inputs.similarity[self.rows, : self.count, : self.count].cpu().double()
        unit = torch.allclose(values.diagonal(dim1=1, dim2=2), torch.ones((), dtype=torch.float64))
        if not (unit and bool(((values >= 0) & (values <= 1)).all()) and torch.allclose(values, values.mT)):
            raise SGPUError(
                "similarity: expected symmetric matrices of numbers in [0, 1] with unit diagonal, got other matrices; "
                "clamp negative cosines, and take the mean of both directions"
            )
        return values

    @cached_property
    def nli(self) -> NLIMatrices:
        """Judgements of the NLI model about the group's sets.

        Raises:
            SGPUError: If logits are not finite.
        """
        matrices = self.inputs.nli_matrices.take(self.rows, self.count)
        if not torch.isfinite(matrices.logits).all():
            raise SGPUError("nli: expected finite logits, got NaN or infinity; check the NLI model")
        return matrices

    @cached_property
    def stored(self) -> StoredNumbers:
        """Numbers of the answering model, for the group's sets."""
        return self.inputs.stored.take(self.rows, self.count)

    def pairs(self, function: Callable[[str, str], float], *, symmetric: bool = True) -> Tensor:
        """Evaluate a function of two texts on all pairs i < j of each set, once for each distinct pair.

        Args:
            function: Function of the earlier and the later text.
            symmetric: Whether the function is symmetric in its two texts.

        Returns:
            Float64 [b, n, n], with zeros on and below the diagonal.
        """
        first, second = torch.triu_indices(self.count, self.count, offset=1)
        ids = torch.stack([self.text_ids[:, first], self.text_ids[:, second]], dim=-1)
        ids = ids.sort(dim=-1).values if symmetric else ids
        texts = self.inputs.texts.distinct
        distinct, pair = torch.unique(ids[..., 0] * len(texts) + ids[..., 1], return_inverse=True)
        values = [function(texts[key // len(texts)], texts[key % len(texts)]) for key in distinct.tolist()]
        result = torch.zeros(len(self), self.count, self.count, dtype=torch.float64)
        result[:, first, second] = torch.tensor(values, dtype=torch.float64)[pair]
        return result
