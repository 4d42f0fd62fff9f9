"""When a fit stops, what it keeps, and what it shows meanwhile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from sgpu_lightning.gp.hyperparameters import PLATEAU

if TYPE_CHECKING:
    from rich.progress import Progress

CHECK_EVERY = 25  # steps between two looks at the validation sets
KEEP_EVERY = 10  # steps between two checkpoints of a GP alone
PATIENCE = 8  # looks without a better validation NLL before fitting stops


def default_callbacks(*, validated: bool, progress: bool = True) -> list[Callback]:
    """What stops a fit and keeps its state as ``best.ckpt``.

    Args:
        validated: Whether something before the spectrum is learned. It can overfit, so the validation NLL decides.
            The GP alone is guarded by its own evidence bound: fitting stops when that no longer rises, and the
            validation sets are left for an honest look.
        progress: Whether to show a progress bar.
    """
    bar: list[Callback] = [StepProgress()] if progress else []
    if not validated:
        return [*bar, EvidencePlateau(), FittedCheckpoint()]
    best = ModelCheckpoint(filename="best", monitor="val/nll", mode="min", save_last=True, enable_version_counter=False)
    return [*bar, EarlyStopping("val/nll", patience=PATIENCE, mode="min"), best]


class EvidencePlateau(Callback):
    """Stop when a step no longer raises the ELBO.

    Args:
        tolerance: A rise by less than this (nats, of all answer sets of the batch) is none.
    """

    def __init__(self, tolerance: float = PLATEAU) -> None:
        self.tolerance = tolerance
        self._last = -math.inf

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Compare with the step before."""
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        reached = -float(loss)
        trainer.should_stop |= (reached - self._last) * batch.total < self.tolerance
        self._last = reached


class FittedCheckpoint(ModelCheckpoint):
    """Keep the state that fitting ends with; and on the way, so that a killed fit can go on."""

    def __init__(self) -> None:
        super().__init__(filename="best", every_n_train_steps=KEEP_EVERY, enable_version_counter=False)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the final state, after the module's own end of training."""
        assert self.dirpath is not None
        self.best_model_path = str(Path(self.dirpath) / f"best{self.FILE_EXTENSION}")
        trainer.save_checkpoint(self.best_model_path)


class StepProgress(Callback):
    """One line: the step, and the validation NLL so far. Lightning's bars count epochs, which mean little here."""

    _bar: Progress | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the bar."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("fit"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[nll]}"))
        self._bar = Progress(*columns, TimeElapsedColumn(), transient=True)
        self._task = self._bar.add_task("fit", total=max(trainer.max_steps, 0) or None, nll="")
        self._bar.start()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Advance by a step."""
        if self._bar is not None:
            nll = trainer.callback_metrics.get("val/nll")
            self._bar.update(self._task, completed=trainer.global_step, nll="" if nll is None else f"val NLL {nll:.4f}")

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Likewise."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
