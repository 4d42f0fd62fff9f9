"""sgpu_lightning: a calibrated probability that a model's answer is right.

The public names are imported when first used, so that ``import sgpu_lightning`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sgpu_lightning.__about__ import __version__

if TYPE_CHECKING:
    from sgpu_lightning.answers.reader import read_answers
    from sgpu_lightning.answers.record import AnswerSet
    from sgpu_lightning.answers.storage.store import AnswerStore
    from sgpu_lightning.data.datamodule import AnswerDataModule
    from sgpu_lightning.errors import SGPUError
    from sgpu_lightning.features.extractor import AnswerFeatures
    from sgpu_lightning.gp.frozen.prediction import Prediction
    from sgpu_lightning.predictor.predictor import SGPUPredictor
    from sgpu_lightning.training.fitting import fit
    from sgpu_lightning.training.module import SGPUModule

_HOME = {
    "AnswerDataModule": "data.datamodule",
    "AnswerFeatures": "features.extractor",
    "AnswerSet": "answers.record",
    "AnswerStore": "answers.storage.store",
    "Prediction": "gp.frozen.prediction",
    "SGPUError": "errors",
    "SGPUModule": "training.module",
    "SGPUPredictor": "predictor.predictor",
    "fit": "training.fitting",
    "read_answers": "answers.reader",
}

__all__ = [
    "AnswerDataModule",
    "AnswerFeatures",
    "AnswerSet",
    "AnswerStore",
    "Prediction",
    "SGPUError",
    "SGPUModule",
    "SGPUPredictor",
    "__version__",
    "fit",
    "read_answers",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sgpu_lightning' has no attribute '{name}'")
    return getattr(import_module(f"sgpu_lightning.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
