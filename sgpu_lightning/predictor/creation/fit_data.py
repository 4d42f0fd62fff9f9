"""The data module of a fit, as far as a predictor is made from it. All accesses to the data module are in this file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sgpu_lightning.answers.grading import DEFAULT_GRADER
from sgpu_lightning.answers.storage.vectors import describe_specs, specs_match
from sgpu_lightning.gp.frozen.prediction import Prediction
from sgpu_lightning.predictor.artefact.frozen_predictor import FrozenPredictor
from sgpu_lightning.predictor.artefact.hub import is_hub_name
from sgpu_lightning.predictor.artefact.predictor_config import TrainingData
from sgpu_lightning.predictor.predictor_errors import PredictorError
from sgpu_lightning.training.feature_cache import FeatureCache

if TYPE_CHECKING:
    from sgpu_lightning.data.datamodule import AnswerDataModule
    from sgpu_lightning.training.module import SGPUModule


class FitData:
    """The answer sets of a fit.

    Args:
        data: The fit's data module; it is set up if it is not yet.
    """

    def __init__(self, data: AnswerDataModule) -> None:
        data.setup()
        self._data = data

    @property
    def train(self) -> Tensor:
        """Indices of the training sets, int64 [n]."""
        return self._data.split_indices["train"]

    @property
    def held_out(self) -> Tensor:
        """Indices of the test sets, or of the validation sets if there is no test set, int64 [n]."""
        indices = self._data.split_indices
        return indices["test"] if len(indices["test"]) else indices["val"]

    @property
    def labels(self) -> Tensor:
        """Labels of all answer sets, float64."""
        return self._data.table.labels

    @property
    def grader(self) -> str:
        """Name of the grader that labels sets without a label."""
        stores = (source.grader for source in self._data.table.sources if source.grader)
        return str(self._data.hparams["grader"] or next(stores, None) or DEFAULT_GRADER)

    def num_answers(self, counts: Tensor) -> tuple[int, int]:
        """Fewest and most answers in the sets that were fitted on, answer subsets included.

        Args:
            counts: Number of answers of every set, int64 [n].
        """
        counts = counts[self.train]
        fewest, most = int(counts.min()), int(counts.max())
        return (min(fewest, self._data.fewest_answers) if self._data.subsets else fewest), most

    def groups_of(self, index: Tensor) -> list[str]:
        """Groups of the answer sets at some indices."""
        return [self._data.table.rows[i].group for i in index.tolist()]

    def require_fit_of(self, module: SGPUModule) -> None:
        """Refuse data that the module was not fitted on.

        Raises:
            PredictorError: If the vectors are of another kind, or the training groups are others.
        """
        given = self._data.vector_specs
        if not specs_match(module.vector_specs, given):
            raise PredictorError(
                f"the predictor was fitted on vectors of {describe_specs(module.vector_specs)}, got "
                f"{describe_specs(given)}; use the same"
            )
        groups = torch.unique(self._data.table.group_hashes[self.train])
        fitted = torch.empty(0, dtype=torch.long) if module.train_groups is None else module.train_groups
        known = int(torch.isin(groups, fitted).sum())
        more = len(fitted) - known  # groups of the predictor that this one was warm-started from
        if known < len(groups) or (more and module.hparams["warm_start"] is None):
            raise PredictorError(
                f"the answers' training sets are not those of the fit: expected {len(fitted)} groups, got "
                f"{len(groups)}, {known} of them the same; give the fit's own answers (--answers), unchanged"
            )

    @torch.no_grad()
    def predict(self, model: FrozenPredictor) -> tuple[Prediction, Tensor]:
        """Predict for all answer sets in one pass over the vectors.

        Returns:
            The prediction and the number of answers of every set, int64 [n].
        """
        predictions, counts = [], []
        for run in self._data.runs():
            assert run.mask is not None
            predictions.append(model(run))
            counts.append(run.mask.sum(1))
        return Prediction.cat(predictions), torch.cat(counts)

    def training_variance(self, model: FrozenPredictor, prediction: Prediction) -> Tensor:
        """Latent variance of the training sets, with all their answers and with each answer subset that was fitted on.

        Args:
            model: The frozen predictor.
            prediction: Its prediction for all answer sets.
        """
        if not self._data.subsets:
            return prediction.latent_variance[self.train]
        cache = FeatureCache()
        cache.fill(self._data, model.features)
        return model.gp(torch.cat([features[self.train] for features in cache.features])).latent_variance

    def describe_training(self) -> TrainingData:
        """Summarise the training sets, with a SHA-256 of the sets and their labels."""
        wanted, rows = set(self.train.tolist()), self._data.table.rows
        digest = hashlib.sha256()
        for i, record in enumerate(self._data.table.records()):
            if i in wanted:
                content = record.to_dict() | {"label": rows[i].label}
                digest.update(json.dumps(content, sort_keys=True).encode() + b"\n")
        return TrainingData(
            sets=len(self.train),
            right=float(self.labels[self.train].mean()),
            datasets=tuple(sorted({rows[i].dataset for i in wanted} - {""})),
            models=tuple(sorted({without_folders(rows[i].model) for i in wanted} - {""})),
            fingerprint=digest.hexdigest(),
        )


def without_folders(name: str) -> str:
    """Reduce the name of a model or encoder to its last part if it is a path on this machine."""
    if name.count("/") > 1 or not is_hub_name(name) or Path(name).is_dir():
        return Path(name).name
    return name
