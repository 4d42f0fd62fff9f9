"""The start of a fit: the feature extractor, the training set and the initial GP, made from the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from sgpu_lightning.answers.storage.vectors import VectorSpec
from sgpu_lightning.data.datamodule import AnswerDataModule
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.answer_batch import AnswerBatch
from sgpu_lightning.features.extractor import AnswerFeatures, available_blocks, blocks_of, mean_of
from sgpu_lightning.gp.classifier import GPClassifier
from sgpu_lightning.gp.inducing_points import default_inducing
from sgpu_lightning.training.checkpoint import make_features
from sgpu_lightning.training.feature_cache import FeatureCache
from sgpu_lightning.training.trainer.trainer_checks import check_width
from sgpu_lightning.training.training_set import TrainingSet, joined_groups, training_set_from, training_set_of
from sgpu_lightning.training.warm_start import read_warm_start

_START_SETS = 4096  # number of sets whose features place the inducing points if features are learned


@dataclass(frozen=True, kw_only=True)
class FitStart:
    """The start of a fit.

    Args:
        settings: The module's hyperparameters as requested: ``features`` and ``mean`` may be None.
        blocks: Feature blocks.
        vector_specs: What made the vectors, one specification for each layer; empty if that is not known.
        features: The feature extractor.
        data: The data module; None if ``batches`` are given.
        batches: All batches of the user's own training DataLoader; empty with a data module.
    """

    settings: Mapping[str, Any]
    blocks: list[str]
    vector_specs: tuple[VectorSpec, ...]
    features: AnswerFeatures
    data: AnswerDataModule | None
    batches: list[AnswerBatch]

    @classmethod
    def of_data(cls, data: AnswerDataModule, settings: Mapping[str, Any]) -> FitStart:
        """Make the start of a fit on a data module.

        Raises:
            SplitError: If a classifier cannot be fitted on its labels.
            SGPUError: If answer subsets are requested although something before the spectrum is learned.
        """
        specs = data.vector_specs
        blocks = settings["features"] or blocks_of(specs)
        features = make_features(settings, blocks, len(specs), specs[0].dim)
        learned = features.learnable or features.projection is not None
        data.require_fittable(validated=learned)
        if learned and data.subsets:
            raise SGPUError(f"subsets: expected 0 if something before the spectrum is learned, got {data.subsets}")
        return cls(settings=settings, blocks=blocks, vector_specs=specs, features=features, data=data, batches=[])

    @classmethod
    def of_trainer(cls, trainer: Trainer, settings: Mapping[str, Any]) -> FitStart:
        """Make the start of a fit on the user's own training DataLoader.

        Raises:
            SGPUError: If the DataLoader yields no batches, or the trainer uses several devices.
        """
        if trainer.world_size > 1:
            raise SGPUError(
                f"trainer.devices: expected 1 with DataLoaders of your own, got {trainer.world_size}; use an "
                "AnswerDataModule"
            )
        trainer.fit_loop.setup_data()  # otherwise the trainer makes its DataLoader after the module's setup
        loader = trainer.train_dataloader
        batches = [] if loader is None else [AnswerBatch.of(batch) for batch in loader]
        if not batches:
            raise SGPUError("train_dataloaders: expected batches to fit on, got none")
        blocks = settings["features"] or available_blocks(batches[0])
        vectors = batches[0].vectors
        layers, dim = (1, None) if vectors is None else (vectors.shape[1], vectors.shape[3])
        features = make_features(settings, blocks, layers, dim)
        return cls(settings=settings, blocks=blocks, vector_specs=(), features=features, data=None, batches=batches)

    @property
    def mean(self) -> str:
        """The kind of prior mean."""
        return self.settings["mean"] or mean_of(self.blocks)

    def training_set(self, cache: FeatureCache) -> TrainingSet:
        """Make the training set.

        If features are learned, it holds at most 4096 answer sets, with their features under the initial parameters.

        Args:
            cache: Features of the data module's answer sets; used if no features are learned.
        """
        if self.data is None:
            return training_set_from(self.batches, self._extract)
        if not self.features.learnable:
            return training_set_of(self.data, cache)
        index = self.data.split_indices["train"]
        order = torch.randperm(len(index), generator=torch.Generator().manual_seed(self.settings["seed"]))
        with torch.no_grad():
            features = self.features(self.data.batch(index[order[:_START_SETS]]))
        groups = torch.unique(self.data.table.group_hashes[index])
        return TrainingSet(features, self.data.table.labels[index], None, groups)

    def _extract(self, batch: AnswerBatch) -> Tensor:
        if batch.features is None:
            return self.features(batch)
        check_width(batch.features, self.features)
        return batch.features

    def gp(self, training: TrainingSet) -> tuple[GPClassifier, Tensor | None]:
        """Make the GP to fit, and return the numbers of the groups that evaluation must not use (None: not known)."""
        base, groups = None, training.groups
        if self.settings["warm_start"] is not None:
            base = read_warm_start(Path(self.settings["warm_start"]), self.features, self.vector_specs)
            # Evaluation must not use the groups that the other predictor was fitted on either.
            groups = joined_groups(groups, base.groups)
        several_subsets = self.data is not None and self.data.subsets > 0
        gp = GPClassifier.from_features(
            training.features,
            self.settings["num_inducing"] or default_inducing(answer_subsets=several_subsets),
            self.settings["kernel"],
            self.settings["seed"],
            self.features.widths,
            self.features.agreement if self.mean == "agreement" else None,
            None if base is None else base.gp,
        )
        return gp, groups
