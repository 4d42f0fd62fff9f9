"""The labelled answer sets of one file or store, with their features and scores as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from sgpu_lightning.answers.storage.vectors import VectorSpec
from sgpu_lightning.baselines import ScoreTable
from sgpu_lightning.errors import EvaluationError
from sgpu_lightning.gp.cluster_weights import group_weight


@dataclass(kw_only=True)
class EvaluationSet:
    """The n labelled answer sets of one file or store.

    Args:
        name: Name of the file or store without folder and suffix.
        ids: Record ids, [n].
        labels: 1.0 for a right answer, 0.0 for a wrong one, [n].
        groups: Groups that must not be split apart, [n].
        variants: Clusters of one model's answers to variants of one question, int64 [n]; see `variants_of`.
        models: Names of the models that answered.
        datasets: Names of the datasets that the questions come from.
        modalities: ``text``, ``image`` or both.
        specs: Specifications of the vectors, one for each layer.
        blocks: Feature blocks.
        widths: Number of features in each block.
        agreement: Sign of each feature's relation to the agreement of the answers, [F]; see `AnswerFeatures.agreement`.
        features: Features of all answers, float64 [n, F].
        subsets: Features of each requested answer subset, [n, F] each.
        scores: All baseline scores whose inputs these answer sets have.
        hidden: Hidden states of the scored answers, [n, d]; None for an encoder's embeddings.
        counts: Number of answers of each answer set, int64 [n].
        left_out: Number of unlabelled answer sets that were left out.
        fingerprint: Hash of the answers, labels and vectors.
    """

    name: str
    ids: list[str]
    labels: Tensor
    groups: list[str]
    variants: Tensor = field(repr=False)
    models: list[str]
    datasets: list[str]
    modalities: list[str]
    specs: tuple[VectorSpec, ...]
    blocks: list[str]
    widths: list[int]
    agreement: Tensor
    features: Tensor
    subsets: list[Tensor] = field(default_factory=list, repr=False)
    scores: ScoreTable
    hidden: Tensor | None = field(repr=False)
    counts: Tensor
    left_out: int
    fingerprint: str

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def accuracy(self) -> float:
        """Proportion of right answers."""
        return float(self.labels.mean())

    def weight(self, rows: Tensor, features: Tensor | None = None) -> Tensor | None:
        """Weight of each row in a fit, which is below one for clusters of variants; see `group_weight`.

        Args:
            rows: Rows to fit on, int64 [m].
            features: Features to fit on, [n, F']; None for all features.

        Returns:
            The effective number of answer sets that each row counts for, [m]; None where each counts for one.
        """
        features = self.features if features is None else features
        return group_weight(self.variants[rows], self.labels[rows], features[rows])

    def columns(self, blocks: Sequence[str]) -> tuple[Tensor, list[int]]:
        """Select the features of some blocks.

        Args:
            blocks: Feature blocks.

        Returns:
            The features, [n, F'], and the width of each block.

        Raises:
            EvaluationError: If a block is missing.
        """
        parts = self._split(self.features, blocks)
        return torch.cat(parts, dim=1), [part.shape[1] for part in parts]

    def signs(self, blocks: Sequence[str]) -> Tensor:
        """Signs of the relation of some blocks' features to agreement, [F']; see `AnswerFeatures.agreement`."""
        return torch.cat(self._split(self.agreement.unsqueeze(0), blocks), dim=1)[0]

    def _split(self, columns: Tensor, blocks: Sequence[str]) -> list[Tensor]:
        if missing := [block for block in blocks if block not in self.blocks]:
            raise EvaluationError(f"{self.name}: expected feature blocks {', '.join(blocks)}, lacks {missing}")
        parts = dict(zip(self.blocks, torch.split(columns, self.widths, dim=1), strict=True))
        return [parts[block] for block in blocks]
