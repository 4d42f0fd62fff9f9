"""The portable predictor: a frozen, plain PyTorch module in a folder of safetensors and JSON, with its model card.

Public names are imported when first used. Scoring needs neither Lightning nor GPyTorch, and no transformers if vectors
are given.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sgpu_lightning.predictor.artefact.predictor_config import PredictorConfig
    from sgpu_lightning.predictor.artefact.training_domain import UnlikeTrainingWarning
    from sgpu_lightning.predictor.creation.build import make_predictor, open_checkpoint
    from sgpu_lightning.predictor.graph_export import export_graph, write_onnx
    from sgpu_lightning.predictor.predictor import SGPUPredictor
    from sgpu_lightning.predictor.predictor_errors import PredictorError
    from sgpu_lightning.predictor.scoring.score_rows import Score
    from sgpu_lightning.predictor.scoring.vectors_input import SetVectors

_MODULES = {
    "PredictorConfig": "artefact.predictor_config",
    "PredictorError": "predictor_errors",
    "SGPUPredictor": "predictor",
    "Score": "scoring.score_rows",
    "SetVectors": "scoring.vectors_input",
    "UnlikeTrainingWarning": "artefact.training_domain",
    "export_graph": "graph_export",
    "make_predictor": "creation.build",
    "open_checkpoint": "creation.build",
    "write_onnx": "graph_export",
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
    if name not in _MODULES:
        raise AttributeError(f"module 'sgpu_lightning.predictor' has no attribute '{name}'")
    return getattr(import_module(f"sgpu_lightning.predictor.{_MODULES[name]}"), name)
