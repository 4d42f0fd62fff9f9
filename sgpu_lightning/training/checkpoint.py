"""Reading of checkpoints written by ``sgpu fit``, without running any code that a file may hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from sgpu_lightning.answers.storage.vectors import VectorSpec
from sgpu_lightning.features.extractor import AnswerFeatures
from sgpu_lightning.gp.classifier import GPClassifier
from sgpu_lightning.gp.frozen import old_names
from sgpu_lightning.gp.prior_mean import empty_basis
from sgpu_lightning.training.checks import CheckpointError

_PARTS = ("state_dict", "hyper_parameters", "datamodule_hyper_parameters", "vector_specs", "train_groups")
_RENAMED = {"gram": "gram_kernel"}  # present names of hyperparameters by their names in earlier versions


def make_features(settings: Mapping[str, Any], blocks: list[str], num_layers: int, dim: int | None) -> AnswerFeatures:
    """Make the feature extractor of a module.

    Args:
        settings: The module's hyperparameters.
        blocks: Feature blocks.
        num_layers: Number of layers of the vectors.
        dim: Dimension of the vectors; None if it is not known yet.
    """
    width = settings["projection_dim"]
    return AnswerFeatures(
        blocks,
        size=settings["num_eigenvalues"],
        floor=settings["floor"],
        gram_kernel=settings["gram_kernel"],
        gamma=settings["gamma"],
        learn_gamma=settings["learn_gamma"],
        projection=(dim, width) if dim is not None and width is not None else None,
        num_layers=num_layers,
        learn_layers=settings["learn_layers"],
    )


class FittedParts(NamedTuple):
    """The parts of a fitted module whose shapes are given by a checkpoint.

    Args:
        features: The feature extractor.
        gp: The GP.
        vector_specs: What made the vectors, one specification for each layer.
    """

    features: AnswerFeatures
    gp: GPClassifier
    vector_specs: tuple[VectorSpec, ...]


def empty_parts(checkpoint: Mapping[str, Any]) -> FittedParts:
    """Make the parts of a checkpoint's module in their shapes, which its state dict then fills.

    Args:
        checkpoint: Content of a checkpoint under current names, see `under_current_names`.
    """
    settings, state = checkpoint["hyper_parameters"], checkpoint["state_dict"]
    weight = state.get("features.projection.weight")
    dim = None if weight is None else weight.shape[1]
    features = make_features(settings, settings["features"], len(state["features.layer_logits"]), dim)
    points = state["gp.latent.variational_strategy.inducing_points"]
    basis = empty_basis(points.shape[1], len(state["gp.latent.mean_weights"]), checkpoint.get("warm_start"))
    gp = GPClassifier(features.widths, len(points), settings["kernel"], basis)
    return FittedParts(features, gp, tuple(VectorSpec(**spec) for spec in checkpoint["vector_specs"]))


def fitted_parts(checkpoint: Mapping[str, Any]) -> FittedParts:
    """Make the parts of a checkpoint's module and load their state."""
    parts, state = empty_parts(checkpoint), checkpoint["state_dict"]
    for prefix, part in (("features.", parts.features), ("gp.", parts.gp)):
        part.load_state_dict({key.removeprefix(prefix): at for key, at in state.items() if key.startswith(prefix)})
        part.eval()
    return parts


def under_current_names(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the content of a checkpoint, written by this or an earlier version, to current names."""
    settings = dict(checkpoint["hyper_parameters"])
    for old, new in _RENAMED.items():
        if (value := settings.pop(old, None)) is not None:
            settings.setdefault(new, value)
    base = checkpoint.get("warm_start")
    return {
        **checkpoint,
        "hyper_parameters": settings,
        "state_dict": old_names.renamed_state(checkpoint["state_dict"]),
        "warm_start": None if base is None else old_names.renamed_settings(base),
    }


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read the content of a checkpoint: tensors and plain values only. No code in it is run.

    Raises:
        CheckpointError: If there is no such file, or it was not written by ``sgpu fit``.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; expected a checkpoint written by 'sgpu fit'")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return under_current_names({part: content[part] for part in _PARTS} | {"warm_start": content.get("warm_start")})
    except Exception as error:
        # The text of the cause is not shown, because torch advises there to load the file without weights_only.
        raise CheckpointError(f"{path}: not a checkpoint written by 'sgpu fit'") from error


def read_settings(path: Path) -> dict[str, dict[str, Any]]:
    """Read the settings that a checkpoint was fitted with, under ``model`` and ``data``; see `read_checkpoint`."""
    content = read_checkpoint(path)
    parts = {"model": content["hyper_parameters"], "data": content["datamodule_hyper_parameters"]}
    return {
        part: {key: value for key, value in values.items() if not key.startswith("_")} for part, values in parts.items()
    }
