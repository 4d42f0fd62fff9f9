"""Export of the frozen GP as a graph for other runtimes: torch.export and ONNX.

The graph maps features to predictions. Computing the features from vectors stays in PyTorch, since ONNX has no operator
for eigenvalues.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sgpu_lightning.gp.frozen.frozen_gp import FrozenGP
from sgpu_lightning.gp.frozen.prediction import Prediction
from sgpu_lightning.predictor.predictor_errors import PredictorError

if TYPE_CHECKING:
    from torch.export import ExportedProgram

_EXAMPLE_ROWS = 3  # an example of one row would fix the graph's batch size to one


class GPGraph(nn.Module):
    """A frozen GP that returns a plain tuple, as graphs require.

    Args:
        gp: The frozen GP.
    """

    def __init__(self, gp: FrozenGP) -> None:
        super().__init__()
        self.gp = gp

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """Compute the fields of `Prediction`, float64 [B] each, from features [B, F]."""
        return tuple(self.gp(features))


def export_graph(gp: FrozenGP) -> ExportedProgram:
    """Export the GP with torch.export, for any number of answer sets.

    Args:
        gp: The frozen GP.
    """
    with _quiet():
        return torch.export.export(GPGraph(gp).eval(), (_example(gp),), dynamic_shapes=_any_batch())


def write_onnx(gp: FrozenGP, path: str | Path) -> None:
    """Write the GP as an ONNX file: input ``features`` [sets, F], one output for each field of `Prediction`.

    Args:
        gp: The frozen GP.
        path: The file to write.

    Raises:
        PredictorError: If the extra ``[onnx]`` is not installed.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise PredictorError("ONNX needs the extra [onnx]: pip install 'sgpu-lightning[onnx]'") from error
    with _quiet():
        program = torch.onnx.export(
            GPGraph(gp).eval(),
            (_example(gp),),
            dynamic_shapes=_any_batch(),
            input_names=["features"],
            output_names=list(Prediction._fields),
            dynamo=True,
            verbose=False,
            custom_translation_table=_translations(),
        )
        assert program is not None
        program.save(str(path))


def _example(gp: FrozenGP) -> Tensor:
    return torch.zeros(_EXAMPLE_ROWS, len(gp.mean), dtype=torch.float64)


def _any_batch() -> Any:
    return ({0: torch.export.Dim("sets", min=1)},)


def _translations() -> dict[Any, Any]:
    """Translations of operators that the exporter lacks (cdist), or that onnxruntime lacks in float64 (erf)."""
    from onnxscript import opset18

    op: Any = opset18

    single, double = 1, 11  # ONNX's type numbers of float32 and float64

    def distances(a: Any, b: Any, p: float = 2.0, compute_mode: int | None = None) -> Any:
        difference = op.Sub(op.Unsqueeze(a, [-2]), op.Unsqueeze(b, [-3]))
        return op.Sqrt(op.ReduceSum(op.Mul(difference, difference), [-1], keepdims=0))

    def erf(x: Any) -> Any:
        return op.Cast(op.Erf(op.Cast(x, to=single)), to=double)

    aten = torch.ops.aten
    return {aten._cdist_forward.default: distances, aten.erf.default: erf}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's messages about its internals and about optional libraries that are not installed."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
