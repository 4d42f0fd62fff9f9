"""Weights of the graph over the answers of a set: symmetric similarities in [0, 1] with unit diagonal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from sgpu_lightning.baselines.inputs.score_needs import Need
from sgpu_lightning.baselines.inputs.set_group import SetGroup


@dataclass(frozen=True)
class Affinity:
    """One kind of weights.

    Args:
        words: Description of the weights, used in definitions of scores.
        needs: Inputs they are computed from, apart from the texts.
        function: Computes the weights of a group's sets, float64 [b, n, n].
    """

    words: str
    needs: tuple[Need, ...]
    function: Callable[[SetGroup], Tensor]

    def weights(self, group: SetGroup) -> Tensor:
        """Weights of a group's sets, computed once for each group; float64 [b, n, n]."""
        return group.cached(f"weights {self.words}", lambda: self.function(group))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.lower().split())


def _jaccard(group: SetGroup) -> Tensor:
    words = cache(_words)

    def overlap(one: str, other: str) -> float:
        first, second = words(one), words(other)
        union = len(first | second)
        return len(first & second) / union if union else 0.0

    return _unit_diagonal(group.pairs(overlap).triu(1), mirrored=True)


def _cosine(group: SetGroup) -> Tensor:
    return _unit_diagonal(group.cosines.clamp_min(0.0))


def _entail(group: SetGroup) -> Tensor:
    entail = group.nli.entail
    return _unit_diagonal((entail + entail.mT) / 2)


def _not_contradict(group: SetGroup) -> Tensor:
    contradict = group.nli.contradict
    return _unit_diagonal(1.0 - (contradict + contradict.mT) / 2)


def _unit_diagonal(matrix: Tensor, *, mirrored: bool = False) -> Tensor:
    matrix = matrix + matrix.mT if mirrored else matrix
    eye = torch.eye(matrix.shape[-1], dtype=torch.bool, device=matrix.device)
    return matrix.masked_fill(eye, 1.0)


AFFINITIES: dict[str, Affinity] = {
    "jaccard": Affinity("Jaccard overlap of words", (), _jaccard),
    "cosine": Affinity("cosine, negative ones as 0", ("vectors",), _cosine),
    "nli": Affinity("probability of entailment, mean of both directions", ("nli",), _entail),
    "nli_contra": Affinity("1 - probability of contradiction, mean of both directions", ("nli",), _not_contradict),
    "given": Affinity("the given similarity", ("similarity",), lambda group: group.similarity),
}
