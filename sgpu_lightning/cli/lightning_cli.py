"""LightningCLI with our module and data module, for ``sgpu fit | validate | test | predict``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback

from sgpu_lightning.cli.lightning_trainer import VerbTrainer
from sgpu_lightning.cli.parser import OneLineParser
from sgpu_lightning.cli.renamed_options import RENAMED, rename_keys
from sgpu_lightning.data.datamodule import AnswerDataModule
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.training.checkpoint import read_settings
from sgpu_lightning.training.checks import CheckpointError
from sgpu_lightning.training.fitting import evaluate_best, metrics_table, plain_metrics, trainer_defaults
from sgpu_lightning.training.module import SGPUModule
from sgpu_lightning.training.trainer.quiet import quiet
from sgpu_lightning.training.trainer.single_process import is_one_device, single_process
from sgpu_lightning.training.trainer.step_progress import StepProgress

_SPLITS = {"validate": "val", "test": "test"}


class _Parser(OneLineParser, LightningArgumentParser):
    """LightningCLI's parser, which prints an error on one line."""


class SGPUCLI(LightningCLI):
    """LightningCLI with our defaults, settings that are read from the checkpoint, and a table at the end.

    Args:
        verb: The method of the Trainer that is run. The parser is made for this method only.
        args: The arguments after the verb.
    """

    def __init__(self, verb: str, args: list[str]) -> None:
        self._verb = verb
        with ExitStack() as self._until_end:
            super().__init__(
                SGPUModule,
                AnswerDataModule,
                trainer_class=VerbTrainer,
                save_config_callback=SaveConfigCallback if verb == "fit" else None,
                save_config_kwargs={"overwrite": True},
                seed_everything_default=0,
                parser_class=_Parser,
                parser_kwargs={"prog": "sgpu"},
                args=[verb, *_checkpoint_settings(verb, args), *args],
            )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """The verb, with the arguments of the Trainer's method that are not options."""
        return {self._verb: LightningCLI.subcommands()[self._verb]}

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of the module and the data before the Trainer's, so that the help begins with them."""
        old_names = {old.partition(".")[2] for old in RENAMED[self._verb] if old.startswith("model.")}
        parser.add_class_arguments(SGPUModule, "model", fail_untyped=False, sub_configs=True, skip=old_names)
        parser.add_lightning_class_args(AnswerDataModule, "data")
        parser.add_lightning_class_args(VerbTrainer, "trainer")

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Set our defaults for the Trainer, and a usage line that does not repeat all options."""
        parser.usage = f"sgpu {self._verb} [options]"
        logger = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": "runs", "name": "fit"}}
        parser.set_defaults({f"trainer.{key}": value for key, value in trainer_defaults().items()})
        parser.set_defaults({"trainer.logger": logger})

    def before_instantiate_classes(self) -> None:
        """Ignore leftover environment variables of a launcher if one device is used."""
        settings = self._get(self.config, "trainer")
        if is_one_device(settings["devices"], settings["num_nodes"], settings["accelerator"]):
            self._until_end.enter_context(single_process(f"sgpu {self._verb}", "--trainer.devices"))

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add our progress bar to the configuration's callbacks; only a fit logs and keeps checkpoints.

        The callbacks that stop a fit and keep its best state are added by the module.
        """
        if self._verb != "fit":
            kwargs |= {"logger": False, "callbacks": None, "enable_checkpointing": False, "enable_progress_bar": False}
            # On several devices each would write its own part of the predictions, and some sets would count twice.
            kwargs |= {"devices": 1, "num_nodes": 1, "strategy": "auto"}
        else:
            kwargs |= self._progress(self._get(self.config_init, "trainer"))
        with _clear_errors(ValueError):  # which Lightning raises for unknown names
            return super().instantiate_trainer(**kwargs)

    def _progress(self, settings: Any) -> dict[str, Any]:
        """Trainer arguments that show our bar, unless the configuration turns it off or has its own progress bar."""
        given = settings["callbacks"] or []
        given = given if isinstance(given, list) else [given]
        if settings["enable_progress_bar"] is False or any(isinstance(callback, ProgressBar) for callback in given):
            return {}
        return {"callbacks": [*given, StepProgress()], "enable_progress_bar": False}

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
        self._show({_SPLITS[verb]: plain_metrics(self.trainer.callback_metrics)}, self.datamodule.sizes)

    def _show(self, metrics: Any, sizes: Any) -> None:
        from sgpu_lightning.console import make_console

        data: AnswerDataModule = self.datamodule
        console = make_console()
        if data.skipped.messages:
            console.print(data.skipped.summary(), markup=False)
        console.print(metrics_table(metrics, sizes, title="P(correct) of the scored answer"))
        counts = ", ".join(f"{split} {count}" for split, count in data.sizes.items())
        console.print(f"labelled answer sets: {counts}; without label or gold: {data.num_unlabelled}", highlight=False)


def _checkpoint_settings(verb: str, args: list[str]) -> list[str]:
    """Make a ``--config`` of the settings that a checkpoint was fitted with, to be put before all other arguments."""
    for i, arg in enumerate(args):
        if arg == "--checkpoint" or arg.startswith("--checkpoint="):
            path = arg.partition("=")[2] or (args[i + 1] if i + 1 < len(args) else "")
            return ["--config", json.dumps(rename_keys(_read_settings(Path(path)), RENAMED.get(verb, {})))]
    return []


def _read_settings(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return read_settings(path)
    except CheckpointError as error:
        raise CheckpointError(f"--checkpoint: {error}") from error


@contextmanager
def _clear_errors(*others: type[Exception]) -> Iterator[None]:
    """Convert Lightning's errors about trainer settings to an `SGPUError`: one message and no traceback."""
    errors: tuple[type[Exception], ...] = (MisconfigurationException, *others)
    try:
        yield
    except errors as error:
        raise SGPUError(f"--trainer: {' '.join(str(error).split())}") from error


def run_lightning(verb: str, args: list[str]) -> None:
    """Parse the arguments and run the Trainer's method.

    Args:
        verb: ``fit``, ``validate``, ``test`` or ``predict``.
        args: The arguments after it, option names with underscores.
    """
    OneLineParser.command = f"sgpu {verb}"
    with quiet(), _clear_errors():
        SGPUCLI(verb, args)
