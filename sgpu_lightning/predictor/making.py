"""From a fitted module to a predictor: frozen, and measured on the answer sets it was fitted on and those held out."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sgpu_lightning.__about__ import __version__
from sgpu_lightning.answers.grading import DEFAULT_GRADER
from sgpu_lightning.answers.storage.vectors import describe_specs, specs_match
from sgpu_lightning.gp.frozen import Prediction
from sgpu_lightning.predictor.config import (
    CalibrationBin,
    Evaluation,
    Interval,
    PredictorConfig,
    PredictorError,
    TrainingData,
)
from sgpu_lightning.predictor.domain import domain_of, is_unlike
from sgpu_lightning.predictor.files import is_hub_name
from sgpu_lightning.predictor.frozen_predictor import FrozenPredictor, to_bytes
from sgpu_lightning.predictor.predictor import SGPUPredictor
from sgpu_lightning.training.feature_cache import FeatureCache

if TYPE_CHECKING:
    from sgpu_lightning.data.datamodule import AnswerDataModule
    from sgpu_lightning.training.module import SGPUModule

METRICS = ("auroc", "auarc", "ece", "brier", "nll")
NUM_BINS = 15


def make_predictor(
    module: SGPUModule,
    data: AnswerDataModule,
    *,
    title: str = "P(correct)",
    license: str | None = None,
    notes: str = "",
) -> SGPUPredictor:
    """Freeze a fitted module, and measure it on its data.

    Args:
        module: The fitted module.
        data: What it was fitted on, with the sets held out from fitting.
        title: What the predictor's card is headed with.
        license: The predictor's licence, as the hub names it, for example ``mit``.
        notes: Further text for the card.

    Raises:
        PredictorError: If the module is not fitted, or the data are not what it was fitted on.
    """
    if module.gp is None:
        raise PredictorError("the module has no fitted GP yet: fit it first, or load a checkpoint")
    data.setup()
    _require_same_data(module, data)
    model = FrozenPredictor(type(module.features)(**module.features.settings), module.gp.freeze())
    model.features.load_state_dict(module.features.state_dict())
    prediction, counts = _predict_all(model, data)
    train = data.split_indices["train"]
    domain = domain_of(_training_variance(model, data, prediction))
    config = PredictorConfig(
        title=title,
        license=license,
        notes=notes,
        features=model.features.settings,
        gp=model.gp.settings,
        vectors=tuple(replace(spec, source=_without_folders(spec.source)) for spec in module.vector_specs),
        num_answers=_num_answers(counts[train], data),
        grader=str(data.hparams["grader"] or _store_grader(data) or DEFAULT_GRADER),
        training=_training(data),
        domain=domain,
        evaluation=_evaluation(prediction, is_unlike(prediction.latent_variance, domain), data),
        weights_sha256=hashlib.sha256(to_bytes(model)).hexdigest(),
        sgpu_version=__version__,
    )
    return SGPUPredictor(config, model)


def open_checkpoint(path: Path, **changes: Any) -> tuple[SGPUModule, AnswerDataModule]:
    """A checkpoint's module and the data that its settings name.

    Args:
        path: Written by ``sgpu fit``.
        **changes: Arguments of `AnswerDataModule` to use instead of the checkpoint's.

    Raises:
        CheckpointError: If it is not one of ours.
    """
    from sgpu_lightning.data.datamodule import AnswerDataModule
    from sgpu_lightning.training.checkpoint import read_settings
    from sgpu_lightning.training.fitted_module import load_module

    module = load_module(path)
    settings = read_settings(path)["data"] | {key: value for key, value in changes.items() if value is not None}
    return module, AnswerDataModule(**settings)


def _require_same_data(module: SGPUModule, data: AnswerDataModule) -> None:
    given = data.vector_specs
    if not specs_match(module.vector_specs, given):
        raise PredictorError(
            f"the predictor was fitted on vectors of {describe_specs(module.vector_specs)}, got "
            f"{describe_specs(given)}; use the same"
        )
    groups = torch.unique(data.table.group_hashes[data.split_indices["train"]])
    fitted = torch.empty(0, dtype=torch.long) if module.train_groups is None else module.train_groups
    known = int(torch.isin(groups, fitted).sum())
    more = len(fitted) - known  # those of the predictor that it was warm-started from
    if known < len(groups) or (more and module.hparams["warm_start"] is None):
        raise PredictorError(
            f"the answers' training sets are not those of the fit: expected {len(fitted)} groups, got "
            f"{len(groups)}, {known} of them the same; give the fit's own answers (--answers), unchanged"
        )


@torch.no_grad()
def _predict_all(model: FrozenPredictor, data: AnswerDataModule) -> tuple[Prediction, Tensor]:
    """The prediction for all answer sets, run after run, and their numbers of answers, int64 [n]."""
    predictions, counts = [], []
    for run in data.runs():
        assert run.mask is not None
        predictions.append(model(run))
        counts.append(run.mask.sum(1))
    return Prediction.cat(predictions), torch.cat(counts)


def _num_answers(counts: Tensor, data: AnswerDataModule) -> tuple[int, int]:
    fewest, most = int(counts.min()), int(counts.max())
    return (min(fewest, data.fewest_answers) if data.subsets else fewest), most


def _training_variance(model: FrozenPredictor, data: AnswerDataModule, prediction: Prediction) -> Tensor:
    """Latent variance of the training sets, with all their answers and with each answer subset that was fitted on."""
    index = data.split_indices["train"]
    if not data.subsets:
        return prediction.latent_variance[index]
    cache = FeatureCache()
    cache.fill(data, model.features)
    return model.gp(torch.cat([features[index] for features in cache.features])).latent_variance


def _training(data: AnswerDataModule) -> TrainingData:
    index = data.split_indices["train"]
    wanted, rows = set(index.tolist()), data.table.rows
    digest = hashlib.sha256()
    for i, record in enumerate(data.table.records()):
        if i in wanted:
            content = record.to_dict() | {"label": rows[i].label}
            digest.update(json.dumps(content, sort_keys=True).encode() + b"\n")
    return TrainingData(
        sets=len(index),
        right=float(data.table.labels[index].mean()),
        datasets=tuple(sorted({rows[i].dataset for i in wanted} - {""})),
        models=tuple(sorted({_without_folders(rows[i].model) for i in wanted} - {""})),
        fingerprint=digest.hexdigest(),
    )


def _evaluation(prediction: Prediction, unlike: Tensor, data: AnswerDataModule) -> Evaluation | None:
    """On the test sets; on the validation sets where there are none."""
    from sgpu_lightning.metrics.functional import bootstrap_interval, calibration_noise_floor

    index = data.split_indices["test"] if len(data.split_indices["test"]) else data.split_indices["val"]
    probs, labels = prediction.p_correct[index], data.table.labels[index]
    if len(torch.unique(labels)) < 2:
        return None
    groups = [data.table.rows[i].group for i in index.tolist()]
    found = {name: bootstrap_interval(name, probs, labels, groups=groups) for name in METRICS}
    return Evaluation(
        sets=len(index),
        right=float(labels.mean()),
        unlike_training=float(unlike[index].double().mean()),
        metrics={
            name: Interval(value=one.value, low=_known(one.low), high=_known(one.high)) for name, one in found.items()
        },
        ece_floor=float(calibration_noise_floor(probs)),
        calibration=_bins(probs, labels),
    )


def _bins(probs: Tensor, labels: Tensor) -> tuple[CalibrationBin, ...]:
    number = (probs * NUM_BINS).long().clamp_max(NUM_BINS - 1)
    members = [(number == i).nonzero().squeeze(1) for i in range(NUM_BINS)]
    return tuple(
        CalibrationBin(sets=len(rows), p_correct=float(probs[rows].mean()), right=float(labels[rows].mean()))
        for rows in members
        if len(rows)
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _store_grader(data: AnswerDataModule) -> str | None:
    return next((source.grader for source in data.table.sources if source.grader), None)


def _without_folders(name: str) -> str:
    """A model's or encoder's name without the folders of this machine."""
    if name.count("/") > 1 or not is_hub_name(name) or Path(name).is_dir():
        return Path(name).name
    return name
