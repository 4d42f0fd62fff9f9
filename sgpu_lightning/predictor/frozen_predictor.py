"""A predictor's tensors as one plain torch module: from vectors to P(correct)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from sgpu_lightning.features.answer_batch import AnswerBatch
from sgpu_lightning.features.extractor import AnswerFeatures
from sgpu_lightning.gp.frozen import FrozenGP, Prediction
from sgpu_lightning.predictor.config import PredictorConfig, PredictorError


class FrozenPredictor(nn.Module):
    """Features of answer sets and the frozen GP on them; neither GPyTorch nor Lightning is needed.

    Args:
        features: What comes before the GP.
        gp: The GP, from `GPClassifier.freeze`.
    """

    def __init__(self, features: AnswerFeatures, gp: FrozenGP) -> None:
        super().__init__()
        self.features = features
        self.gp = gp
        self.requires_grad_(False)
        self.train(False)

    @torch.no_grad()
    def forward(self, batch: AnswerBatch) -> Prediction:
        """Predict for each answer set of a batch of vectors, or of ready features."""
        return self.gp(batch.features if batch.features is not None else self.features(batch))


def to_bytes(model: FrozenPredictor) -> bytes:
    """The module's tensors as the bytes of a safetensors file."""
    from safetensors.torch import save

    return save({name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()})


def from_bytes(content: bytes, config: PredictorConfig, where: str) -> FrozenPredictor:
    """Make the module that the config describes and fill it, strictly.

    Args:
        content: The bytes of ``model.safetensors``.
        config: Says the tensors' names and shapes, and their fingerprint.
        where: Named in errors.

    Raises:
        PredictorError: If the file is no safetensors file, holds other tensors than the config says, or is not the
            one the config was written with.
    """
    tensors = _parse(content, where)
    model = _empty(config, where)
    _require_same(tensors, model.state_dict(), where)
    found = hashlib.sha256(content).hexdigest()
    if found != config.weights_sha256:
        raise PredictorError(
            f"{where}: expected the file that config.json was written with (SHA-256 {config.weights_sha256[:12]}...), "
            f"got another ({found[:12]}...): it was changed or damaged; fetch or export the predictor again"
        )
    model.load_state_dict(tensors, strict=True, assign=True)
    return model


def _parse(content: bytes, where: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(content)
    except (SafetensorError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise PredictorError(
            f"{where}: not a safetensors file, or a truncated one ({error}); nothing in it was run. Fetch or "
            "export the predictor again"
        ) from error


def _empty(config: PredictorConfig, where: str) -> FrozenPredictor:
    """The module without memory for its tensors: what a config says may be anything."""
    try:
        with torch.device("meta"):
            features = AnswerFeatures.from_settings(config.features)
            gp = FrozenGP.of_shape(**config.gp)
            expected, takes = features.num_features, {one.settings["num_features"] for one in _with_bases(gp)}
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise PredictorError(f"{where}: config.json: features or gp: {error}") from error
    layers = len(features.layer_logits)
    if takes != {expected} or layers != len(config.vectors):
        raise PredictorError(
            f"{where}: config.json: its feature blocks give {expected} features, its GP takes "
            f"{', '.join(map(str, sorted(takes)))}; they take {layers} layers of vectors, it names "
            f"{len(config.vectors)}: these must agree"
        )
    return FrozenPredictor(features, gp)


def _with_bases(gp: FrozenGP) -> Iterator[FrozenGP]:
    """The GP, and the ones it was warm-started from."""
    one: FrozenGP | None = gp
    while one is not None:
        yield one
        one = one.base


def _require_same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], where: str) -> None:
    if missing := sorted(expected.keys() - found.keys()):
        raise PredictorError(f"{where}: tensor '{missing[0]}' is missing; fetch or export the predictor again")
    if extra := sorted(found.keys() - expected.keys()):
        raise PredictorError(f"{where}: unexpected tensor '{extra[0]}'; fetch or export the predictor again")
    for name, tensor in expected.items():
        got = found[name]
        if got.shape != tensor.shape or got.dtype != tensor.dtype:
            raise PredictorError(
                f"{where}: tensor '{name}': config.json says {_kind(tensor)}, the file holds {_kind(got)}; fetch or "
                "export the predictor again"
            )
        if not torch.isfinite(got).all():
            raise PredictorError(f"{where}: tensor '{name}': expected finite numbers, got NaN or infinity")


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
