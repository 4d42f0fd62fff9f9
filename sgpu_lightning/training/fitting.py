"""Fitting with defaults that need no tuning, and the table of the resulting metrics."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger

from sgpu_lightning.data.datamodule import AnswerDataModule
from sgpu_lightning.data.splits import Split
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.metrics.registry import in_table
from sgpu_lightning.training.module import SGPUModule
from sgpu_lightning.training.trainer.quiet import quiet
from sgpu_lightning.training.trainer.single_process import is_one_device, single_process
from sgpu_lightning.training.trainer.step_progress import StepProgress
from sgpu_lightning.training.trainer.stopping import CHECK_EVERY, best_checkpoint

if TYPE_CHECKING:
    from rich.table import Table

Metrics = dict[str, float]
MAX_STEPS = 1000


def trainer_defaults() -> dict[str, Any]:
    """Default arguments of the Trainer, without callbacks and logger.

    The length of a fit is counted in steps, not in epochs, because a GP on few features is learned after about
    a hundred steps, whatever the number of sets.
    """
    return {
        # The GP is small, so a GPU gains little; Apple's GPUs have no float64.
        "accelerator": "cpu",
        "devices": 1,
        "max_steps": MAX_STEPS,
        "max_epochs": -1,
        "val_check_interval": CHECK_EVERY,
        "check_val_every_n_epoch": None,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": CHECK_EVERY,
        "enable_model_summary": False,
    }


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted predictor.

    Args:
        module: The module in its best state.
        checkpoint: Path of the checkpoint of that state.
        metrics: Metrics of each split that has answer sets, by metric name without prefix.
        sizes: Number of labelled answer sets in each split.
    """

    module: SGPUModule
    checkpoint: Path
    metrics: Mapping[Split, Metrics]
    sizes: Mapping[Split, int]


def fit(
    data: AnswerDataModule, module: SGPUModule | None = None, *, out: str | Path = "runs/fit", **trainer: Any
) -> Fitted:
    """Fit a predictor and evaluate its best state.

    Args:
        data: The answer sets.
        module: The module to fit; None for one with default settings. A module that was fitted before starts over.
        out: Folder for the checkpoint and the log of metrics.
        trainer: Arguments of Lightning's Trainer, which override our defaults. Callbacks given here are used in
            addition to those that stop the fit and keep its best state.
    """
    module = module if module is not None else SGPUModule()
    bar = [StepProgress()] if trainer.pop("enable_progress_bar", True) else []
    callbacks = trainer.pop("callbacks", None) or []
    settings = trainer_defaults() | {"logger": CSVLogger(out, name=""), "enable_progress_bar": False} | trainer
    threads = torch.get_num_threads()
    try:
        with quiet(), _environment(settings):
            runner = Trainer(callbacks=[*bar, *(callbacks if isinstance(callbacks, list) else [callbacks])], **settings)
            runner.fit(module, datamodule=data)
            return evaluate_best(runner, module, data)
    finally:
        torch.set_num_threads(threads)  # the module restores them itself, but not when a fit fails


def _environment(settings: Mapping[str, Any]) -> AbstractContextManager[None]:
    """Where one device is used, an environment without what a launcher left behind."""
    one = is_one_device(settings["devices"], settings.get("num_nodes", 1), settings["accelerator"])
    return single_process("fit") if one else nullcontext()


def evaluate_best(trainer: Trainer, module: SGPUModule, data: AnswerDataModule) -> Fitted:
    """Evaluate the best checkpoint of a finished fit on the validation and test sets.

    A separate trainer on one device is used, because on several devices some answer sets would count twice.

    Raises:
        SGPUError: If the fit kept no checkpoint.
    """
    best = best_checkpoint(trainer)
    if best is None:
        raise SGPUError(
            "the fit kept no checkpoint: expected the trainer to save one; remove fast_dev_run and "
            "enable_checkpointing=False, or let it save within the fit's steps"
        )
    evaluator = Trainer(
        accelerator="cpu", devices=1, logger=False, enable_progress_bar=False, enable_checkpointing=False
    )
    verbs: dict[Split, Any] = {"val": evaluator.validate, "test": evaluator.test}
    sizes = data.sizes
    metrics = {
        split: plain_metrics(run(module, datamodule=data, ckpt_path=str(best), verbose=False, weights_only=True)[0])
        for split, run in verbs.items()
        if sizes[split]
    }
    return Fitted(module, best, metrics, sizes)


def plain_metrics(logged: Mapping[str, Any]) -> Metrics:
    """Remove the split's prefix from the names of logged metrics: ``test/nll`` becomes ``nll``."""
    return {name.split("/", 1)[1]: float(value) for name, value in logged.items()}


def metrics_table(metrics: Mapping[str, Metrics], sizes: Mapping[str, int], title: str) -> Table:
    """Make a table for the terminal with one row for each entry of ``metrics``."""
    from rich.table import Table

    table = Table(title=title)
    table.add_column("")
    shown = in_table("fit")
    for name in ("sets", *(metric.heading for metric in shown), "ELBO"):
        table.add_column(name, justify="right")
    for row, values in metrics.items():
        numbers = [values[key] for key in (*(metric.name for metric in shown), "elbo")]
        table.add_row(row, str(sizes[row]), *(f"{number:.3f}" for number in numbers))
    table.caption = "A perfectly calibrated predictor would show an ECE near its floor on this many sets."
    return table
