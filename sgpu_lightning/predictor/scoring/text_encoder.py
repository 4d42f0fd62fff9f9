"""The encoder of a black-box predictor: checking a given one, and loading the one that the config names."""

from __future__ import annotations

from sgpu_lightning.embedding.embed_answers import encoder_spec
from sgpu_lightning.embedding.encoder import OFFLINE_ENCODER, Encoder
from sgpu_lightning.embedding.memory_cache import RememberingEncoder
from sgpu_lightning.predictor.artefact.hub import is_hub_name
from sgpu_lightning.predictor.artefact.predictor_config import PredictorConfig
from sgpu_lightning.predictor.predictor_errors import PredictorError
from sgpu_lightning.predictor.scoring.input_checks import require_vectors

_FINGERPRINT_LENGTH = 64  # characters of a SHA-256; a folder's fingerprint is not a hub revision


def checked_encoder(encoder: Encoder, config: PredictorConfig) -> RememberingEncoder:
    """Check that an encoder is the one that the predictor was fitted with, and add a memory of recent texts.

    Raises:
        PredictorError: If it is another encoder, or the predictor takes hidden states.
    """
    require_vectors(config, (encoder_spec(encoder),))
    return RememberingEncoder(encoder)


def named_encoder(config: PredictorConfig) -> Encoder:
    """Load the encoder that the config names: the offline encoder, or one on the hub at a fixed revision.

    Raises:
        PredictorError: If the predictor takes hidden states, or the encoder was loaded from a folder.
    """
    spec = config.vectors[0]
    if spec.kind != "encoder":
        raise PredictorError(f"this predictor uses no encoder, but {spec.describe()}")
    # The config may come from anywhere, so it must not determine which folder of this machine is read.
    revision = spec.revision if spec.revision and len(spec.revision) != _FINGERPRINT_LENGTH else None
    if spec.source != OFFLINE_ENCODER and (revision is None or not is_hub_name(spec.source)):
        raise PredictorError(
            f"the predictor was fitted with the encoder in a folder named '{spec.source}': give that folder "
            "(--encoder FOLDER, or encoder= in Python)"
        )
    return load_encoder(spec.source, revision)


def load_encoder(name: str, revision: str | None = None) -> Encoder:
    """Load a sentence encoder.

    Args:
        name: A folder, a hub id, or the offline encoder's name.
        revision: Branch, tag or commit of a hub id.
    """
    from sgpu_lightning.embedding.encoder import SentenceTransformerEncoder

    return SentenceTransformerEncoder(name, revision=revision)
