"""Reading what ``sgpu fit`` wrote, without running anything a file may hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sgpu_lightning.training.module import CheckpointError, SGPUModule

_PARTS = ("state_dict", "hyper_parameters", "datamodule_hyper_parameters", "vector_specs", "train_groups")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content; tensors and plain values only, nothing in it is run.

    Raises:
        CheckpointError: If there is no such file, or it is not one of ours.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; expected a checkpoint written by 'sgpu fit'")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return {part: content[part] for part in _PARTS}
    except Exception as error:
        # Not the cause's own text: torch's advises to load the file without the safety of weights_only.
        raise CheckpointError(f"{path}: not a checkpoint written by 'sgpu fit'") from error


def read_settings(path: Path) -> dict[str, dict[str, Any]]:
    """What a checkpoint was fitted under, by ``model`` and ``data``; see `read_checkpoint`."""
    content = read_checkpoint(path)
    parts = {"model": content["hyper_parameters"], "data": content["datamodule_hyper_parameters"]}
    return {
        part: {key: value for key, value in values.items() if not key.startswith("_")} for part, values in parts.items()
    }


def load_module(path: Path) -> SGPUModule:
    """The fitted module of a checkpoint; see `read_checkpoint`.

    Raises:
        CheckpointError: Also if its tensors do not have the shapes that its settings say.
    """
    read_checkpoint(path)
    try:
        module = SGPUModule.load_from_checkpoint(path, map_location="cpu", weights_only=True)
    except (RuntimeError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path}: not a checkpoint written by 'sgpu fit' ({error})") from error
    return module.eval()
