"""Loading a fitted module from its checkpoint."""

from __future__ import annotations

from pathlib import Path

from sgpu_lightning.training.checkpoint import read_checkpoint
from sgpu_lightning.training.checks import CheckpointError
from sgpu_lightning.training.module import SGPUModule


def load_module(path: Path) -> SGPUModule:
    """Load the fitted module of a checkpoint, in evaluation mode; see `read_checkpoint`.

    Raises:
        CheckpointError: If there is no such file, it was not written by ``sgpu fit``, or the shapes of its tensors do
            not match its settings.
    """
    settings = read_checkpoint(path)["hyper_parameters"]
    try:
        module = SGPUModule.load_from_checkpoint(
            path, map_location="cpu", weights_only=True, gram_kernel=settings["gram_kernel"], gram=None
        )
    except (RuntimeError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path}: not a checkpoint written by 'sgpu fit' ({error})") from error
    return module.eval()
