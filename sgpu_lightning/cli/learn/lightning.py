"""``sgpu fit | validate | test | predict``: LightningCLI on our module and data module."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback

from sgpu_lightning.data.datamodule import AnswerDataModule
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.training.checkpoint import read_settings
from sgpu_lightning.training.checks import CheckpointError
from sgpu_lightning.training.fitting import evaluate_best, metrics_table, plain_metrics, trainer_defaults
from sgpu_lightning.training.module import SGPUModule
from sgpu_lightning.training.predictions import write_predictions
from sgpu_lightning.training.quiet import quiet
from sgpu_lightning.training.step_progress import StepProgress

_METRIC_VERBS = {"validate": "val", "test": "test"}


class _Trainer(Trainer):
    """Lightning's trainer, its checkpoint argument renamed.

    LightningCLI lets the hyperparameters of a checkpoint named ``ckpt_path`` override the configuration and
    the command line without a word. Ours is ``checkpoint``: its settings are the defaults, and what a
    configuration or the command line says must agree with them.
    """

    def fit(self, model: Any, datamodule: Any = None, checkpoint: str | None = None) -> None:  # type: ignore[override]
        """Learn P(correct) from answer sets.

        Args:
            model: Made from the configuration.
            datamodule: Likewise.
            checkpoint: Go on from this checkpoint.
        """
        super().fit(model, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)

    def validate(self, model: Any, datamodule: Any = None, checkpoint: str | None = None) -> Any:  # type: ignore[override]
        """Metrics on the validation sets.

        Args:
            model: Made from the configuration.
            datamodule: Likewise.
            checkpoint: Written by ``sgpu fit``.
        """
        return super().validate(model, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True, verbose=False)

    def test(self, model: Any, datamodule: Any = None, checkpoint: str | None = None) -> Any:  # type: ignore[override]
        """Metrics on the test sets.

        Args:
            model: Made from the configuration.
            datamodule: Likewise.
            checkpoint: Written by ``sgpu fit``.
        """
        return super().test(model, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True, verbose=False)

    def predict(  # type: ignore[override]
        self, model: Any, datamodule: Any = None, checkpoint: str | None = None, out: str = "predictions.jsonl"
    ) -> Any:
        """Write P(correct) of every answer set as JSON Lines.

        Args:
            model: Made from the configuration.
            datamodule: Likewise.
            checkpoint: Written by ``sgpu fit``.
            out: The file to write.
        """
        batches: Any = super().predict(model, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
        count = write_predictions(Path(out), batches, datamodule.table, model.train_groups)
        if datamodule.skipped.messages:
            print(datamodule.skipped.summary())
        print(f"{count} predictions written to {out}")


class SGPUCLI(LightningCLI):
    """LightningCLI with our defaults, checkpoints that know their settings, and a table at the end."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Our trainer defaults."""
        logger = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": "runs", "name": "fit"}}
        parser.set_defaults({f"trainer.{key}": value for key, value in trainer_defaults().items()})
        parser.set_defaults({"trainer.logger": logger})

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add our callbacks where the configuration names none; only a fit logs and keeps checkpoints."""
        if self.subcommand != "fit":
            bare = {"logger": False, "callbacks": None, "enable_checkpointing": False, "enable_progress_bar": False}
            return super().instantiate_trainer(**bare, **kwargs)
        settings = self._get(self.config_init, "trainer", default={})
        if settings.get("enable_progress_bar") is not False:  # None is Lightning's default: shown
            kwargs["callbacks"] = [*(settings.get("callbacks") or []), StepProgress()]
            kwargs["enable_progress_bar"] = False
        return super().instantiate_trainer(**kwargs)

    def before_fit(self) -> None:
        """Refuse answers that cannot be fitted on before anything is written."""
        self.datamodule.setup("fit")
        self.datamodule.require_fittable(validated=self.model.learns_features)
        _ = self.datamodule.vector_specs

    def after_fit(self) -> None:
        """Evaluate the best state and name its checkpoint."""
        fitted = evaluate_best(self.trainer, self.model, self.datamodule)
        self._show(fitted.metrics, fitted.sizes)
        print(f"checkpoint: {fitted.checkpoint}")

    def after_validate(self) -> None:
        """Show the metrics."""
        self._show_verb("validate")

    def after_test(self) -> None:
        """Show the metrics."""
        self._show_verb("test")

    def _show_verb(self, verb: str) -> None:
        split = _METRIC_VERBS[verb]
        self._show({split: plain_metrics(self.trainer.callback_metrics)}, self.datamodule.sizes)

    def _show(self, metrics: Any, sizes: Any) -> None:
        from sgpu_lightning.console import make_console

        data: AnswerDataModule = self.datamodule
        console = make_console()
        if data.skipped.messages:
            console.print(data.skipped.summary(), markup=False)
        console.print(metrics_table(metrics, sizes, title="P(correct) of the scored answer"))
        counts = ", ".join(f"{split} {count}" for split, count in data.sizes.items())
        console.print(f"labelled answer sets: {counts}; without label or gold: {data.num_unlabelled}", highlight=False)


def _checkpoint_settings(args: list[str]) -> list[str]:
    """``--config`` with the settings a checkpoint was fitted under, so that they stand before all others."""
    for i, arg in enumerate(args):
        if arg == "--checkpoint" or arg.startswith("--checkpoint="):
            path = arg.partition("=")[2] or (args[i + 1] if i + 1 < len(args) else "")
            return ["--config", json.dumps(_read_settings(Path(path)))]
    return []


def _read_settings(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return read_settings(path)
    except CheckpointError as error:
        raise CheckpointError(f"--checkpoint: {error}") from error


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Lightning's complaints about trainer settings as ours: one message, no traceback."""
    try:
        yield
    except MisconfigurationException as error:
        raise SGPUError(f"--trainer: {error}") from error


def run(args: list[str]) -> None:
    """Parse and run."""
    verb, rest = args[0], args[1:]
    with quiet(), _clear_errors():
        SGPUCLI(
            SGPUModule,
            AnswerDataModule,
            trainer_class=_Trainer,
            save_config_callback=SaveConfigCallback if verb == "fit" else None,
            save_config_kwargs={"overwrite": True},
            seed_everything_default=0,
            parser_kwargs={"prog": "sgpu"},
            args=[verb, *_checkpoint_settings(rest), *rest],
        )
