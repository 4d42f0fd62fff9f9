"""Making a predictor: freezing a fitted module and measuring it on its training and held-out answer sets."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgpu_lightning.__about__ import __version__
from sgpu_lightning.predictor.artefact.frozen_predictor import FrozenPredictor, to_bytes
from sgpu_lightning.predictor.artefact.predictor_config import PredictorConfig
from sgpu_lightning.predictor.artefact.training_domain import domain_of, is_unlike
from sgpu_lightning.predictor.creation.fit_data import FitData, without_folders
from sgpu_lightning.predictor.predictor import SGPUPredictor
from sgpu_lightning.predictor.predictor_errors import PredictorError

if TYPE_CHECKING:
    from sgpu_lightning.data.datamodule import AnswerDataModule
    from sgpu_lightning.training.module import SGPUModule


def make_predictor(
    module: SGPUModule,
    data: AnswerDataModule,
    *,
    title: str = "P(correct)",
    license: str | None = None,
    notes: str = "",
) -> SGPUPredictor:
    """Freeze a fitted module and measure it on its data.

    Args:
        module: The fitted module.
        data: The data that it was fitted on, including the sets held out from fitting.
        title: Heading of the model card.
        license: The predictor's licence, as the hub names it, for example ``mit``; None for no licence.
        notes: Further text for the model card.

    Raises:
        PredictorError: If the module is not fitted, or was fitted on other data.
    """
    from sgpu_lightning.predictor.creation.held_out_evaluation import evaluate_held_out

    if module.gp is None:
        raise PredictorError("the module has no fitted GP yet: fit it first, or load a checkpoint")
    answers = FitData(data)
    answers.require_fit_of(module)
    model = _freeze(module)
    prediction, counts = answers.predict(model)
    domain = domain_of(answers.training_variance(model, prediction))
    index = answers.held_out
    config = PredictorConfig(
        title=title,
        license=license,
        notes=notes,
        features=model.features.settings,
        gp=model.gp.settings,
        vectors=tuple(replace(spec, source=without_folders(spec.source)) for spec in module.vector_specs),
        num_answers=answers.num_answers(counts),
        grader=answers.grader,
        training=answers.describe_training(),
        domain=domain,
        evaluation=evaluate_held_out(
            prediction.p_correct[index],
            answers.labels[index],
            is_unlike(prediction.latent_variance[index], domain),
            answers.groups_of(index),
        ),
        weights_sha256=hashlib.sha256(to_bytes(model)).hexdigest(),
        sgpu_version=__version__,
    )
    return SGPUPredictor(config, model)


def open_checkpoint(path: Path, **changes: Any) -> tuple[SGPUModule, AnswerDataModule]:
    """Load a checkpoint's module, and make the data module that its settings describe.

    Args:
        path: A checkpoint written by ``sgpu fit``.
        **changes: Arguments of `AnswerDataModule` that replace the checkpoint's; None leaves an argument unchanged.

    Raises:
        CheckpointError: If the file was not written by ``sgpu fit``.
    """
    from sgpu_lightning.data.datamodule import AnswerDataModule
    from sgpu_lightning.training.checkpoint import read_settings
    from sgpu_lightning.training.fitted_module import load_module

    module = load_module(path)
    settings = read_settings(path)["data"] | {key: value for key, value in changes.items() if value is not None}
    return module, AnswerDataModule(**settings)


def _freeze(module: SGPUModule) -> FrozenPredictor:
    """Copy the module's features and freeze its GP."""
    assert module.gp is not None
    model = FrozenPredictor(type(module.features)(**module.features.settings), module.gp.freeze())
    model.features.load_state_dict(module.features.state_dict())
    return model
