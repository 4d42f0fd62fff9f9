"""Checks before a module computes: held-out data, the origin of the vectors, the settings and the precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sgpu_lightning.answers.storage.vectors import VectorSpec, describe_specs, specs_match
from sgpu_lightning.data.datamodule import AnswerDataModule
from sgpu_lightning.data.splits import Split, SplitError
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.answer_batch import AnswerBatch

# Settings that determine the meaning of the parameters. A checkpoint is loaded only with the same ones.
_STRUCTURE = (
    "features",
    "num_eigenvalues",
    "floor",
    "gram_kernel",
    "gamma",
    "learn_gamma",
    "projection_dim",
    "kernel",
    "mean",
)
FROM_DATA = ("features", "mean")  # settings among these that are derived from the data if they are null


class CheckpointError(SGPUError):
    """A checkpoint that does not fit the configuration or the vectors it is given."""


def check_settings(checkpoint: Mapping[str, Any], configuration: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that was fitted with other settings.

    Raises:
        CheckpointError: If settings differ; the message names them.
    """
    differing = [
        f"{key}: checkpoint {checkpoint.get(key)}, configuration {configuration[key]}"
        for key in _STRUCTURE
        if checkpoint.get(key) != configuration[key] and not (key in FROM_DATA and configuration[key] is None)
    ]
    if differing:
        raise CheckpointError(
            "the checkpoint was fitted with other settings: " + "; ".join(differing) + "; remove them from the "
            "configuration, or fit again"
        )


def check_vectors(fitted: Sequence[VectorSpec], given: Sequence[VectorSpec]) -> None:
    """Refuse vectors of another kind than those that were fitted on.

    Raises:
        CheckpointError: If the kinds differ; the message describes both.
    """
    if fitted and not specs_match(fitted, given):
        raise CheckpointError(
            f"the predictor was fitted on vectors of {describe_specs(fitted)}, got {describe_specs(given)}; "
            "use the same"
        )


def check_held_out(data: AnswerDataModule, split: Split, train_groups: Tensor | None) -> None:
    """Refuse to evaluate on groups that were fitted on, because in-sample figures say nothing about calibration.

    Raises:
        SplitError: If the split holds such groups.
    """
    rows = data.split_indices[split]
    seen = rows[_is_seen(data.table.group_hashes[rows], train_groups)]
    if len(seen):
        first = data.table.rows[int(seen[0])]
        raise SplitError(
            f"{len(seen)} of {len(rows)} {split} sets are of groups the predictor was fitted on (first: set "
            f"'{first.id}', group '{first.group[:80]}'): expected sets held out from fitting; use the fit's own "
            "val_fraction, test_fraction and split_seed, or other test_answers"
        )


def check_batch_held_out(batch: AnswerBatch, train_groups: Tensor | None) -> None:
    """Refuse to evaluate on a batch with groups that were fitted on, if the batch names its groups.

    Raises:
        SplitError: If the batch holds such groups.
    """
    if batch.group is not None and (seen := int(_is_seen(batch.group, train_groups).sum())):
        raise SplitError(
            f"{seen} of {len(batch)} answer sets of a batch are of groups the predictor was fitted on: expected sets "
            "held out from fitting; split the data by group before you make the DataLoaders"
        )


def _is_seen(groups: Tensor, train_groups: Tensor | None) -> Tensor:
    if train_groups is None:
        return torch.zeros_like(groups, dtype=torch.bool)
    return torch.isin(groups, train_groups.to(groups.device))


def check_precision(gp: nn.Module) -> None:
    """Refuse a precision that the GP cannot run in.

    Raises:
        SGPUError: If a parameter is not float64.
    """
    dtypes = {parameter.dtype for parameter in gp.parameters()}
    if dtypes != {torch.float64}:
        raise precision_error(", ".join(str(dtype) for dtype in dtypes))


def precision_error(got: str) -> SGPUError:
    """Make the error for a precision that the GP cannot run in."""
    return SGPUError(
        f"trainer.precision: the GP runs in float64, got {got}; leave the module's dtype as it is and use the default "
        "precision '32-true' (the GP stays in float64) or '64-true'"
    )
