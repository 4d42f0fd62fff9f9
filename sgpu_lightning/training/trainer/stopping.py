"""Callbacks that decide when a fit stops and which state it keeps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn

from sgpu_lightning.gp.hyperparameters import PLATEAU

CHECK_EVERY = 25  # steps between two evaluations of the validation sets
KEEP_EVERY = 10  # steps between two checkpoints of a GP alone
PATIENCE = 8  # evaluations without a better validation NLL before a fit stops


class _Release(Callback):
    """Lets a module give back what it holds during a fit, also when the fit fails."""

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Call the hooks that Lightning leaves out after an error or an interrupt."""
        if trainer.state.fn == TrainerFn.FITTING:
            pl_module.on_fit_end()
            pl_module.teardown("fit")


class ElboPlateau(_Release):
    """Stops the fit of a GP alone when a step no longer raises its collapsed ELBO.

    Args:
        tolerance: Rise of the collapsed ELBO of all training sets (nats) below which the fit stops.
    """

    def __init__(self, tolerance: float = PLATEAU) -> None:
        self.tolerance = tolerance
        self._last = -math.inf

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Discard the value of an earlier fit."""
        self._last = -math.inf

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop if the collapsed ELBO has risen by less than the tolerance since the last step."""
        reached = -float(outputs["loss"])
        trainer.should_stop |= (reached - self._last) * outputs["total"] < self.tolerance
        self._last = reached


class ValidationPlateau(_Release, EarlyStopping):
    """Stops a fit with learned features when the validation NLL has not fallen for `PATIENCE` evaluations."""

    def __init__(self) -> None:
        super().__init__("val/nll", patience=PATIENCE, mode="min")


class FinalCheckpoint(ModelCheckpoint):
    """Keeps the final state of a fit, and states on the way, so that a killed fit can be resumed.

    Args:
        name: Name of the file, without its suffix.
    """

    def __init__(self, name: str) -> None:
        super().__init__(filename=name, every_n_train_steps=KEEP_EVERY, enable_version_counter=False)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the final state, after the module's own end of training."""
        assert self.dirpath is not None
        self.best_model_path = str(Path(self.dirpath) / f"{self.filename}{self.FILE_EXTENSION}")
        trainer.save_checkpoint(self.best_model_path)


class BestCheckpoint(ModelCheckpoint):
    """Keeps the state with the lowest validation NLL as ``best.ckpt``."""

    def __init__(self) -> None:
        super().__init__(filename="best", monitor="val/nll", mode="min", enable_version_counter=False)


_OURS = (ElboPlateau, ValidationPlateau, FinalCheckpoint, BestCheckpoint)


def add_fit_callbacks(trainer: Trainer, *, learned_features: bool) -> None:
    """Add the callbacks that stop a fit and keep its state as ``best.ckpt`` to a trainer's own callbacks.

    Learned features can overfit, so the validation NLL decides when their fit stops. The ELBO protects a GP alone
    against
    overfitting: its fit stops when the collapsed ELBO no longer rises, and the validation sets remain unused for an
    unbiased evaluation. Lightning's default checkpoint, which would write a second file, is removed. No checkpoint is
    added if the trainer keeps none (``enable_checkpointing=False``).

    Args:
        trainer: The trainer of the fit.
        learned_features: Whether something before the spectrum is learned.
    """
    stop: Callback = ValidationPlateau() if learned_features else ElboPlateau()
    keep: list[Callback] = (
        [BestCheckpoint(), FinalCheckpoint("last")] if learned_features else [FinalCheckpoint("best")]
    )
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    others = [one for one in callbacks if not isinstance(one, _OURS) and not _is_default(one)]
    # Checkpoint callbacks come last, so that they save the state of all other callbacks.
    callbacks[:] = [stop, *others, *(keep if trainer.checkpoint_callbacks else [])]


def best_checkpoint(trainer: Trainer) -> Path | None:
    """Path of the checkpoint with the best state of a finished fit; None if no checkpoint was kept."""
    ours = [one for one in trainer.checkpoint_callbacks if isinstance(one, FinalCheckpoint | BestCheckpoint)]
    paths = [one.best_model_path for one in ours if one.filename == "best" and one.best_model_path]
    return Path(paths[0]) if paths else None


def _is_default(callback: Callback) -> bool:
    """Whether this is Lightning's own checkpoint callback: one with all settings at their defaults."""
    return type(callback) is ModelCheckpoint and vars(callback) == vars(ModelCheckpoint())
