"""The training set of the GP: features, labels and weights of all answer sets that are fitted on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from sgpu_lightning.data.datamodule import AnswerDataModule
from sgpu_lightning.data.splits import SplitError
from sgpu_lightning.features.answer_batch import AnswerBatch
from sgpu_lightning.features.answer_subsets import subset_weight
from sgpu_lightning.gp.cluster_weights import design_effect_weights
from sgpu_lightning.training.feature_cache import FeatureCache


class TrainingSet(NamedTuple):
    """The rows that the GP is fitted on: one for each answer set, and one for each of its answer subsets, if any.

    Args:
        features: Float64 [n, F].
        labels: 1.0 right, 0.0 wrong, float64 [n].
        weight: Number of independent answer sets that each row counts for, float64 [n]; None if each counts for one.
        groups: Distinct numbers of the groups fitted on, int64 [g]; None if they are not known.
    """

    features: Tensor
    labels: Tensor
    weight: Tensor | None
    groups: Tensor | None

    @property
    def total(self) -> float:
        """The number of independent answer sets that all rows together count for."""
        return len(self.labels) if self.weight is None else float(self.weight.sum())

    def take(self, rows: Tensor) -> TrainingSet:
        """Select rows, int64 [m]."""
        weight = None if self.weight is None else self.weight[rows]
        return TrainingSet(self.features[rows], self.labels[rows], weight, self.groups)


def training_set_of(data: AnswerDataModule, cache: FeatureCache) -> TrainingSet:
    """Make the training set of a data module from cached features of its answer sets."""
    index, count = data.split_indices["train"], len(cache.features)
    labels = data.table.labels[index]
    weight = design_effect_weights(data.table.variants[index], labels, cache.features[0][index])
    return TrainingSet(
        features=torch.cat([features[index] for features in cache.features]),
        labels=labels.repeat(count),
        weight=subset_weight(weight, len(index), count),
        groups=torch.unique(data.table.group_hashes[index]),
    )


def training_set_from(batches: Iterable[AnswerBatch], extract: Callable[[AnswerBatch], Tensor]) -> TrainingSet:
    """Make the training set from the batches of a DataLoader. Answer sets without a label are left out.

    Args:
        batches: All batches of the DataLoader.
        extract: Function of a batch that returns its features [B, F].

    Raises:
        SplitError: If the labels are not of both classes.
    """
    known = [batch.labelled() for batch in batches]
    labels = torch.cat([batch.label for batch in known]) if known else torch.empty(0)
    if len(torch.unique(labels)) < 2:
        raise SplitError(
            f"train_dataloaders: expected answer sets with labels of both classes, got {len(labels)} labels; give each "
            "batch 'label' with 1.0 for right and 0.0 for wrong answers"
        )
    with torch.no_grad():
        features = torch.cat([extract(batch).cpu() for batch in known])
    weight, group = _column(known, "weight"), _column(known, "group")
    if weight is None and group is not None:
        weight = design_effect_weights(group, labels, features)
    return TrainingSet(features, labels, weight, None if group is None else torch.unique(group))


def _column(batches: list[AnswerBatch], name: str) -> Tensor | None:
    """Join one field of all batches; None if a batch lacks it."""
    parts = [part for batch in batches if (part := getattr(batch, name)) is not None]
    return torch.cat(parts) if len(parts) == len(batches) else None


def joined_groups(ours: Tensor | None, theirs: Tensor | None) -> Tensor | None:
    """Distinct numbers of the groups of two fits, int64; None if the groups of either fit are not known."""
    return None if ours is None or theirs is None else torch.unique(torch.cat([ours, theirs]))
