"""The features and the GP of the LightningModule, and what a checkpoint holds of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from sgpu_lightning.answers.storage.vectors import VectorSpec
from sgpu_lightning.data.datamodule import AnswerDataModule
from sgpu_lightning.features.answer_batch import AnswerBatch
from sgpu_lightning.features.extractor import AnswerFeatures
from sgpu_lightning.gp.classifier import GPClassifier
from sgpu_lightning.gp.frozen.prediction import Prediction
from sgpu_lightning.training.base.float64_module import Float64Module
from sgpu_lightning.training.checkpoint import empty_parts, under_current_names
from sgpu_lightning.training.checks import FROM_DATA, CheckpointError, check_settings
from sgpu_lightning.training.feature_cache import FeatureCache
from sgpu_lightning.training.trainer.trainer_checks import check_width
from sgpu_lightning.training.training_set import joined_groups


class GPModule(Float64Module):
    """Predicts P(correct) from batches of answer sets. `SGPUModule` adds the settings and the fit.

    Attributes:
        features: The feature extractor.
        gp: The GP; None before a fit.
        vector_specs: What made the vectors, one specification for each layer; empty if that is not known.
        train_groups: Numbers of the groups that were fitted on, which evaluation refuses; None if they are not known.
        train_size: Number of training sets; 0 if it is not known.
    """

    features: AnswerFeatures

    def __init__(self) -> None:
        super().__init__()
        self.gp: GPClassifier | None = None
        self.vector_specs: tuple[VectorSpec, ...] = ()
        self.train_groups: Tensor | None = torch.empty(0, dtype=torch.long)
        self.train_size = 0.0
        self._cache = FeatureCache()

    @property
    def learns_features(self) -> bool:
        """Whether something before the spectrum is learned."""
        return self.features.learnable or self.hparams["projection_dim"] is not None

    def forward(self, batch: AnswerBatch | Mapping[str, Any]) -> Prediction:
        """Predict P(correct), latent mean and variance, and the split of the entropy for each answer set.

        If gradients are enabled, they flow from the prediction through GP, features, spectrum and Gram matrix to the
        vectors.

        Args:
            batch: Answer sets; see `AnswerBatch.of`.
        """
        return self._classifier()(self.features_of(AnswerBatch.of(batch)))

    def features_of(self, batch: AnswerBatch) -> Tensor:
        """Features of a batch, float64 [B, F]: those it holds, those of its vectors, or cached ones by position."""
        if batch.features is not None:
            check_width(batch.features, self.features)
            return batch.features
        return self._cache.rows(batch.index) if batch.vectors is None else self.features(batch)

    def _elbo(self, batch: AnswerBatch) -> Tensor:
        return self._classifier().elbo(self.features_of(batch), batch.label, self._train_size(batch))

    def _train_size(self, batch: AnswerBatch) -> float:
        """Number of training sets; the size of the batch if it is not known."""
        data = self._data()
        in_data = 0 if data is None else len(data.split_indices.get("train", ()))
        return self.train_size or in_data or len(batch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the origin of the vectors, the groups that were fitted on, and the settings of a warm start."""
        checkpoint["vector_specs"] = [spec.to_dict() for spec in self.vector_specs]
        checkpoint["train_groups"] = self.train_groups
        checkpoint["train_size"] = self.train_size
        base = None if self.gp is None else self.gp.latent.mean_basis.base
        checkpoint["warm_start"] = None if base is None else base.settings

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make the parts in the checkpoint's shapes, after checking its origin and its settings.

        Raises:
            CheckpointError: If it was not written by ``sgpu fit``, or with other settings; the message names the
                settings that differ.
        """
        if "gp.mean" not in checkpoint["state_dict"] or "vector_specs" not in checkpoint:
            raise CheckpointError("checkpoint: expected one written by 'sgpu fit', got one of another module")
        current = under_current_names(checkpoint)
        checkpoint["state_dict"], settings = current["state_dict"], current["hyper_parameters"]
        check_settings(settings, self.hparams)
        for key in FROM_DATA:
            self.hparams[key] = settings[key]
        self.features, self.gp, self.vector_specs = empty_parts(current)
        groups = checkpoint["train_groups"]
        if self._is_fitting:  # the fit is resumed, perhaps on other data; the groups of both were fitted on
            self.train_groups = joined_groups(self.train_groups, groups)
        else:
            self.train_groups, self.train_size = groups, checkpoint.get("train_size", 0.0)

    @property
    def _is_fitting(self) -> bool:
        return self._trainer is not None and self.trainer.state.fn == TrainerFn.FITTING

    def _data(self) -> AnswerDataModule | None:
        """The trainer's data module if it is an `AnswerDataModule`, else None."""
        data = None if self._trainer is None else getattr(self.trainer, "datamodule", None)
        return data if isinstance(data, AnswerDataModule) else None

    def _classifier(self) -> GPClassifier:
        if self.gp is None:
            raise CheckpointError("the module has no fitted GP yet: fit it, or load a checkpoint with --checkpoint")
        return self.gp
