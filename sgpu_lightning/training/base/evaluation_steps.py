"""Validation, test and prediction by the LightningModule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torchmetrics import MetricCollection

from sgpu_lightning.data.splits import Split
from sgpu_lightning.features.answer_batch import AnswerBatch
from sgpu_lightning.gp.frozen.prediction import Prediction
from sgpu_lightning.metrics import probability_metrics
from sgpu_lightning.training.base.gp_module import GPModule
from sgpu_lightning.training.checks import check_batch_held_out, check_held_out, check_vectors
from sgpu_lightning.training.trainer.trainer_checks import check_one_loader


class EvaluationSteps(GPModule):
    """Evaluates P(correct) on held-out answer sets with torchmetrics, and predicts."""

    def __init__(self) -> None:
        super().__init__()
        self.val_metrics = probability_metrics("val/")
        self.test_metrics = probability_metrics("test/")

    def on_validation_start(self) -> None:
        """Check and read the data, unless the fit has done so."""
        self._prepare(None if self._is_fitting else "val")

    def on_test_start(self) -> None:
        """Check and read the data."""
        self._prepare("test")

    def on_predict_start(self) -> None:
        """Check and read the data."""
        self._prepare(None)

    def _prepare(self, held_out: Split | None) -> None:
        self._classifier()  # raises an error if there is no fit, before the data are read
        data = self._data()
        if data is None:
            return
        if held_out is not None:
            check_held_out(data, held_out, self.train_groups)
        check_vectors(self.vector_specs, data.vector_specs)
        if not self.learns_features:
            self._cache.fill(data, self.features)

    def validation_step(
        self, batch: AnswerBatch | Mapping[str, Any], batch_index: int, dataloader_idx: int = 0
    ) -> None:
        """Update the validation metrics."""
        check_one_loader(dataloader_idx, "val_dataloaders")
        self._evaluate(batch, "val", self.val_metrics)

    def test_step(self, batch: AnswerBatch | Mapping[str, Any], batch_index: int, dataloader_idx: int = 0) -> None:
        """Update the test metrics."""
        check_one_loader(dataloader_idx, "test_dataloaders")
        self._evaluate(batch, "test", self.test_metrics)

    def _evaluate(self, batch: AnswerBatch | Mapping[str, Any], name: str, metrics: MetricCollection) -> None:
        known = AnswerBatch.of(batch).labelled()
        if not len(known):
            return
        if not self._is_fitting:
            check_batch_held_out(known, self.train_groups)
        metrics.update(self(known).p_correct, known.label)
        self.log_dict(metrics, batch_size=len(known))
        self.log(f"{name}/elbo", self._elbo(known), batch_size=len(known), sync_dist=True)

    def predict_step(
        self, batch: AnswerBatch | Mapping[str, Any], batch_index: int, dataloader_idx: int = 0
    ) -> tuple[Tensor, Prediction]:
        """Predict a batch.

        Returns:
            Positions of the answer sets in their data [B], and their prediction.
        """
        given = AnswerBatch.of(batch)
        return given.index, self(given)
