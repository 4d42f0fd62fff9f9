"""The frozen predictor as a plain torch module, from vectors to P(correct), and its strict reading from a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from sgpu_lightning.features.answer_batch import AnswerBatch
from sgpu_lightning.features.extractor import AnswerFeatures
from sgpu_lightning.gp.frozen.frozen_gp import FrozenGP
from sgpu_lightning.gp.frozen.old_names import renamed_settings, renamed_state
from sgpu_lightning.gp.frozen.prediction import Prediction
from sgpu_lightning.predictor.artefact.predictor_config import PredictorConfig
from sgpu_lightning.predictor.artefact.safe_files import CONFIG, WEIGHTS, read_file
from sgpu_lightning.predictor.predictor_errors import PredictorError


class FrozenPredictor(nn.Module):
    """Feature extraction followed by the frozen GP; needs neither GPyTorch nor Lightning.

    Args:
        features: The feature extractor.
        gp: The GP, as returned by `GPClassifier.freeze`.
    """

    def __init__(self, features: AnswerFeatures, gp: FrozenGP) -> None:
        super().__init__()
        self.features = features
        self.gp = gp
        self.requires_grad_(False)
        self.train(False)

    @torch.no_grad()
    def forward(self, batch: AnswerBatch) -> Prediction:
        """Predict for each answer set of a batch that holds vectors or precomputed features."""
        return self.gp(batch.features if batch.features is not None else self.features(batch))


def to_bytes(model: FrozenPredictor) -> bytes:
    """Serialise the module's tensors as a safetensors file."""
    from safetensors.torch import save

    return save({name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()})


def read_predictor(folder: Path) -> tuple[PredictorConfig, FrozenPredictor]:
    """Read a predictor's config and tensors; every predictor is read here.

    Args:
        folder: The predictor's folder.

    Raises:
        PredictorError: If a file is missing, damaged or of a newer format, or if config and tensors do not match.
    """
    config = PredictorConfig.from_bytes(read_file(folder, CONFIG), str(folder / CONFIG))
    return config, from_bytes(read_file(folder, WEIGHTS), config, str(folder / WEIGHTS))


def from_bytes(content: bytes, config: PredictorConfig, where: str) -> FrozenPredictor:
    """Build the module that the config describes and load its tensors strictly.

    Args:
        content: The bytes of ``model.safetensors``.
        config: Determines the tensors' names, shapes and SHA-256.
        where: Name of the file in error messages.

    Raises:
        PredictorError: If the file is not a safetensors file, does not hold exactly the tensors that the config
            describes, or is not the file that the config was written with.
    """
    tensors = renamed_state(_parse(content, where))
    model = _empty(config, where)
    _require_same_tensors(tensors, model.state_dict(), where)
    found = hashlib.sha256(content).hexdigest()
    if found != config.weights_sha256:
        raise PredictorError(
            f"{where}: expected the file that config.json was written with (SHA-256 {config.weights_sha256[:12]}...), "
            f"got another file ({found[:12]}...): it was changed or damaged; download or export the predictor again"
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
            f"{where}: not a safetensors file, or a truncated one ({error}); nothing in it was run. Download or "
            "export the predictor again"
        ) from error


def _empty(config: PredictorConfig, where: str) -> FrozenPredictor:
    """Build the module on the meta device, which allocates no memory: the config is untrusted and may name any size."""
    try:
        with torch.device("meta"):
            features = AnswerFeatures.from_settings(config.features)
            gp = FrozenGP.of_shape(**renamed_settings(config.gp))
            expected, accepted = features.num_features, {one.settings["num_features"] for one in _with_bases(gp)}
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise PredictorError(f"{where}: config.json: features or gp: {error}") from error
    layers = len(features.layer_logits)
    if accepted != {expected} or layers != len(config.vectors):
        raise PredictorError(
            f"{where}: config.json: expected matching sizes, got {expected} features from its feature blocks but "
            f"{', '.join(map(str, sorted(accepted)))} in its GP, and {layers} layers of vectors in its features but "
            f"{len(config.vectors)} in its vectors"
        )
    return FrozenPredictor(features, gp)


def _with_bases(gp: FrozenGP) -> Iterator[FrozenGP]:
    """Yield the GP and the GPs that it was warm-started from."""
    one: FrozenGP | None = gp
    while one is not None:
        yield one
        one = one.base


def _require_same_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], where: str) -> None:
    if missing := sorted(expected.keys() - found.keys()):
        raise PredictorError(f"{where}: tensor '{missing[0]}' is missing; download or export the predictor again")
    if extra := sorted(found.keys() - expected.keys()):
        raise PredictorError(f"{where}: unexpected tensor '{extra[0]}'; download or export the predictor again")
    for name, tensor in expected.items():
        got = found[name]
        if got.shape != tensor.shape or got.dtype != tensor.dtype:
            raise PredictorError(
                f"{where}: tensor '{name}': config.json specifies {_describe(tensor)}, the file holds "
                f"{_describe(got)}; download or export the predictor again"
            )
        if not torch.isfinite(got).all():
            raise PredictorError(f"{where}: tensor '{name}': expected finite numbers, got NaN or infinity")


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
