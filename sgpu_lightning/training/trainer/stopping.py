"""When a fit stops, and which state it keeps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from sgpu_lightning.gp.hyperparameters import PLATEAU

CHECK_EVERY = 25  # steps between two evaluations of the validation sets
KEEP_EVERY = 10  # steps between two checkpoints of a GP alone
PATIENCE = 8  # evaluations without a better validation NLL before a fit stops


class ElboPlateau(Callback):
    """Stops the fit of a GP alone when a step no longer raises its collapsed ELBO.

    Args:
        tolerance: Rise of the collapsed ELBO of all training sets (nats) below which the fit stops.
    """

    def __init__(self, tolerance: float = PLATEAU) -> None:
        self.tolerance = tolerance
        self._last = -math.inf

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier fit."""
        self._last = -math.inf

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Compare with the step before."""
        reached = -float(outputs["loss"])
        trainer.should_stop |= (reached - self._last) * outputs["total"] < self.tolerance
        self._last = reached


class ValidationPlateau(EarlyStopping):
    """Stops a fit with a learned front when the validation NLL has not fallen for `PATIENCE` evaluations."""

    def __init__(self) -> None:
        super().__init__("val/nll", patience=PATIENCE, mode="min")


class FinalCheckpoint(ModelCheckpoint):
    """Keeps the final state of a fit as ``best.ckpt``, and states on the way, so that a killed fit can be resumed."""

    def __init__(self) -> None:
        super().__init__(filename="best", every_n_train_steps=KEEP_EVERY, enable_version_counter=False)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the final state, after the module's own end of training."""
        assert self.dirpath is not None
        self.best_model_path = str(Path(self.dirpath) / f"best{self.FILE_EXTENSION}")
        trainer.save_checkpoint(self.best_model_path)


class BestCheckpoint(ModelCheckpoint):
    """Keeps the state with the lowest validation NLL as ``best.ckpt``, and the last one."""

    def __init__(self) -> None:
        super().__init__(filename="best", monitor="val/nll", mode="min", save_last=True, enable_version_counter=False)


_OURS = (ElboPlateau, ValidationPlateau, FinalCheckpoint, BestCheckpoint)


def add_fit_callbacks(trainer: Trainer, *, learned_front: bool) -> None:
    """Add the callbacks that stop a fit and keep its state as ``best.ckpt`` to a trainer's own callbacks.

    A learned front can overfit, so the validation NLL decides. The GP alone is guarded by its own bound: the fit stops
    when the collapsed ELBO no longer rises, and the validation sets are left for an honest evaluation. Lightning's
    default checkpoint, which would write a second file, is removed. No checkpoint is added where the trainer was told
    to keep none.

    Args:
        trainer: The trainer of the fit.
        learned_front: Whether something before the spectrum is learned.
    """
    stop: Callback = ValidationPlateau() if learned_front else ElboPlateau()
    keep: list[Callback] = [BestCheckpoint() if learned_front else FinalCheckpoint()]
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    others = [one for one in callbacks if not isinstance(one, _OURS) and not _is_default(one)]
    # Checkpoints stand last, so that they keep the state of all other callbacks.
    callbacks[:] = [stop, *others, *(keep if trainer.checkpoint_callbacks else [])]


def best_checkpoint(trainer: Trainer) -> Path | None:
    """Where a finished fit keeps its best state; None if it keeps none."""
    kept = [one for one in trainer.checkpoint_callbacks if isinstance(one, FinalCheckpoint | BestCheckpoint)]
    paths = [one.best_model_path for one in kept if isinstance(one, ModelCheckpoint) and one.best_model_path]
    return Path(paths[0]) if paths else None


def _is_default(callback: Callback) -> bool:
    """Whether this is the checkpoint callback that Lightning adds by itself."""
    if type(callback) is not ModelCheckpoint:
        return False
    plain = ModelCheckpoint()
    return all(
        getattr(callback, name, None) == getattr(plain, name, None) for name in ("state_key", "dirpath", "filename")
    )
