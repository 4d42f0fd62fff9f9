"""The progress bar of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback, LightningModule, Trainer

if TYPE_CHECKING:
    from rich.progress import Progress


class StepProgress(Callback):
    """A bar with the step and the latest validation NLL. Lightning's bars count epochs, which are not used here."""

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
        """Remove the bar."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remove the bar."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
