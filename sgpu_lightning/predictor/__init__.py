"""A predictor people can carry: a frozen, plain PyTorch module with its card, in a folder of safetensors and JSON.

Public names are imported when first used: scoring needs neither Lightning nor GPyTorch, nor transformers where vectors
are given.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sgpu_lightning.predictor.config import PredictorConfig, PredictorError
    from sgpu_lightning.predictor.domain import UnlikeTrainingWarning
    from sgpu_lightning.predictor.given import SetVectors
    from sgpu_lightning.predictor.making import make_predictor, open_checkpoint
    from sgpu_lightning.predictor.portable import export_graph, write_onnx
    from sgpu_lightning.predictor.predictor import SGPUPredictor
    from sgpu_lightning.predictor.scoring import Score

_HOME = {
    "PredictorConfig": "config",
    "PredictorError": "config",
    "SGPUPredictor": "predictor",
    "Score": "scoring",
    "SetVectors": "given",
    "UnlikeTrainingWarning": "domain",
    "export_graph": "portable",
    "make_predictor": "making",
    "open_checkpoint": "making",
    "write_onnx": "portable",
}

__all__ = [
    "PredictorConfig",
    "PredictorError",
    "SGPUPredictor",
    "Score",
    "SetVectors",
    "UnlikeTrainingWarning",
    "export_graph",
    "make_predictor",
    "open_checkpoint",
    "write_onnx",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'sgpu_lightning.predictor' has no attribute '{name}'")
    return getattr(import_module(f"sgpu_lightning.predictor.{_HOME[name]}"), name)
