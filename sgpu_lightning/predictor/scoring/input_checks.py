"""Checks of a predictor's input: the origin of the vectors, the number of answers, and the length of the texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sgpu_lightning.answers.record import AnswerSet, RecordError
from sgpu_lightning.answers.storage.vectors import VectorSpec, describe_specs, specs_match
from sgpu_lightning.predictor.artefact.predictor_config import PredictorConfig
from sgpu_lightning.predictor.predictor_errors import PredictorError

MAX_CHARACTERS = 4_000_000  # in all texts of a set: a tokenizer needs some hundred bytes for each character


def require_vectors(config: PredictorConfig, given: Sequence[VectorSpec]) -> None:
    """Refuse vectors of another encoder, layer rule or token rule than the predictor was fitted on.

    Args:
        config: The predictor's config.
        given: Origin of the vectors, one entry for each layer.

    Raises:
        PredictorError: If they do not match; the message describes both.
    """
    ours = config.vectors
    if not specs_match(ours, given):
        raise PredictorError(
            f"the predictor was fitted on vectors of {describe_specs(ours)}, got {describe_specs(given)}; use the same"
        )
    lengths = [(spec.dim, other.dim) for spec, other in zip(ours, given, strict=True) if spec.kind == "encoder"]
    if any(dim != other for dim, other in lengths):
        raise PredictorError(
            f"the predictor was fitted on vectors of length {lengths[0][0]} ({describe_specs(ours)}), got length "
            f"{lengths[0][1]} ({describe_specs(given)}); use the same encoder"
        )


def record_check(config: PredictorConfig) -> Callable[[AnswerSet, str], None]:
    """Make a check for `stream_answers` that refuses records outside the predictor's limits.

    Args:
        config: The predictor's config.

    Returns:
        A function of a record and its location for messages. It raises `RecordError` if the number of answers is
        outside the predictor's range, or the texts are longer than `MAX_CHARACTERS` in all.
    """
    fewest, most = config.num_answers
    expected = config.describe_num_answers()

    def check(record: AnswerSet, where: str) -> None:
        if not fewest <= len(record.answers) <= most:
            raise RecordError(
                f"{where}: key 'answers': expected {expected}, which this predictor was fitted on, got "
                f"{len(record.answers)}; sample that many, or fit a predictor on sets of this size"
            )
        characters = sum(map(len, record.answers)) + len(record.greedy or "") + len(record.question)
        if characters > MAX_CHARACTERS:
            raise RecordError(
                f"{where}: expected texts of at most {MAX_CHARACTERS:,} characters in all, got {characters:,}"
            )

    return check
