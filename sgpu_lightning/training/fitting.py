"""Fitting with defaults that need no tuning, and the table that says how well it went."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from sgpu_lightning.data.datamodule import AnswerDataModule
from sgpu_lightning.data.splits import Split
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.metrics.registry import in_table
from sgpu_lightning.training.callbacks import CHECK_EVERY, default_callbacks
from sgpu_lightning.training.module import SGPUModule

if TYPE_CHECKING:
    from rich.table import Table

Metrics = dict[str, float]
_BESIDE_THE_POINT = (
    ".*does not have many workers.*",  # the data is in memory
    ".*exists and is not empty.*",
    ".*Total length of `DataLoader` across ranks is zero.*",  # no validation sets were wanted
    ".*is smaller than the logging interval.*",
    ".*LightningCLI's args parameter is intended.*",
    ".*treespec, LeafSpec.*",
    ".*callbacks used to create the checkpoint need to be provided.*",  # to evaluate, they are not
)
MAX_STEPS = 1000


def trainer_defaults() -> dict[str, Any]:
    """Trainer arguments without callbacks, bar and logger, which the command line and Python make differently.

    The length of a fit is counted in steps, not epochs: a GP on a handful of features is learned after some
    hundred steps however many sets there are.
    """
    return {
        # The GP is small: a GPU gains little, and Apple's has no float64.
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
        module: With the best state loaded.
        checkpoint: Where that state is.
        metrics: Of each split that has answer sets, by metric name without prefix.
        sizes: Labelled answer sets in each split.
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
        module: What to fit; None for the defaults.
        out: Folder for the checkpoint and the log of metrics.
        trainer: Arguments of Lightning's Trainer, over the defaults.
    """
    module = module if module is not None else SGPUModule()
    progress = trainer.pop("enable_progress_bar", True)
    callbacks = default_callbacks(validated=module.learns_features, progress=progress)
    own = {"logger": CSVLogger(out, name=""), "callbacks": callbacks, "enable_progress_bar": False}
    settings = trainer_defaults() | own | trainer
    threads = torch.get_num_threads()
    try:
        with quiet():
            runner = Trainer(**settings)
            runner.fit(module, datamodule=data)
            return evaluate_best(runner, module, data)
    finally:
        torch.set_num_threads(threads)  # the module gives them back itself, but not when a fit breaks


def evaluate_best(trainer: Trainer, module: SGPUModule, data: AnswerDataModule) -> Fitted:
    """Evaluate the best checkpoint of a finished fit on the validation and test sets.

    On one device, with a trainer of its own: several would each count some answer sets twice.
    """
    callback = trainer.checkpoint_callback
    if not isinstance(callback, ModelCheckpoint) or not callback.best_model_path:
        raise SGPUError(
            "the fit kept no checkpoint: expected a ModelCheckpoint callback that saved one; remove fast_dev_run, "
            "or let it save within the fit's steps"
        )
    best = callback.best_model_path
    evaluator = Trainer(
        accelerator="cpu", devices=1, logger=False, enable_progress_bar=False, enable_checkpointing=False
    )
    verbs: dict[Split, Any] = {"val": evaluator.validate, "test": evaluator.test}
    sizes = data.sizes
    metrics = {
        split: plain_metrics(run(module, datamodule=data, ckpt_path=best, verbose=False, weights_only=True)[0])
        for split, run in verbs.items()
        if sizes[split]
    }
    return Fitted(module, Path(best), metrics, sizes)


def plain_metrics(logged: Mapping[str, Any]) -> Metrics:
    """Logged metrics without their split's prefix: ``test/nll`` becomes ``nll``."""
    return {name.split("/", 1)[1]: float(value) for name, value in logged.items()}


def metrics_table(metrics: Mapping[str, Metrics], sizes: Mapping[str, int], title: str) -> Table:
    """A table for the terminal, one row for each entry of ``metrics``."""
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


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what Lightning says of the hardware and of data loader workers, which does not apply here."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in _BESIDE_THE_POINT:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
