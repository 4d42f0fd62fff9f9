"""Lightning's Trainer with the options of our verbs: ``checkpoint`` instead of ``ckpt_path``, and ``out``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from sgpu_lightning.training.predictions import write_predictions


class VerbTrainer(Trainer):
    """Training: Lightning's Trainer.

    Its argument ``ckpt_path`` is called ``checkpoint`` here: LightningCLI lets the hyperparameters of a ``ckpt_path``
    silently override the configuration and the command line. The settings of a ``checkpoint`` are the defaults, and
    those of a configuration or the command line must agree with them.
    """

    def fit(self, model: Any, datamodule: Any = None, checkpoint: str | None = None) -> None:  # type: ignore[override]
        """Learn P(correct) from answer sets.

        Args:
            model: The module, made from the configuration.
            datamodule: The data module, made from the configuration.
            checkpoint: Checkpoint to resume from; null to start a new fit.
        """
        super().fit(model, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)

    def validate(self, model: Any, datamodule: Any = None, checkpoint: str | None = None) -> Any:  # type: ignore[override]
        """Compute the metrics on the validation sets.

        Args:
            model: The module, made from the configuration.
            datamodule: The data module, made from the configuration.
            checkpoint: Checkpoint written by ``sgpu fit``.
        """
        return super().validate(model, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True, verbose=False)

    def test(self, model: Any, datamodule: Any = None, checkpoint: str | None = None) -> Any:  # type: ignore[override]
        """Compute the metrics on the test sets.

        Args:
            model: The module, made from the configuration.
            datamodule: The data module, made from the configuration.
            checkpoint: Checkpoint written by ``sgpu fit``.
        """
        return super().test(model, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True, verbose=False)

    def predict(  # type: ignore[override]
        self, model: Any, datamodule: Any = None, checkpoint: str | None = None, out: str = "predictions.jsonl"
    ) -> Any:
        """Write P(correct) for every answer set as JSON Lines.

        Args:
            model: The module, made from the configuration.
            datamodule: The data module, made from the configuration.
            checkpoint: Checkpoint written by ``sgpu fit``.
            out: The file to write.
        """
        batches: Any = super().predict(model, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
        count = write_predictions(Path(out), batches, datamodule.table, model.train_groups)
        if datamodule.skipped.messages:
            print(datamodule.skipped.summary())
        print(f"{count} predictions written to {out}")
