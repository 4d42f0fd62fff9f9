"""Reading of a predictor fitted on other data, for the warm start of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from sgpu_lightning.answers.storage.vectors import VectorSpec
from sgpu_lightning.features.extractor import AnswerFeatures
from sgpu_lightning.gp.frozen.frozen_gp import FrozenGP
from sgpu_lightning.training.checkpoint import fitted_parts, read_checkpoint
from sgpu_lightning.training.checks import CheckpointError, check_vectors


class WarmStart(NamedTuple):
    """A predictor to start from.

    Args:
        gp: Its frozen GP.
        groups: Numbers of the groups it was fitted on, int64; None if they are not known.
    """

    gp: FrozenGP
    groups: Tensor | None


def read_warm_start(path: Path, features: AnswerFeatures, specs: Sequence[VectorSpec]) -> WarmStart:
    """Read a predictor to start from.

    Args:
        path: Its checkpoint.
        features: The extractor of the fit that starts from it.
        specs: What made the vectors of that fit.

    Raises:
        CheckpointError: If the file is not a checkpoint, or was fitted on other features or vectors.
    """
    content = read_checkpoint(path)
    parts = fitted_parts(content)
    theirs, ours = parts.features.extra_repr(), features.extra_repr()
    if theirs != ours or parts.features.learnable or features.learnable or parts.features.projection is not None:
        raise CheckpointError(
            f"warm_start: {path}: expected a predictor on the same features, none of them learned, {ours}, got "
            f"{theirs}; fit it with the same settings"
        )
    check_vectors(parts.vector_specs, specs)
    return WarmStart(parts.gp.freeze(), content["train_groups"])
