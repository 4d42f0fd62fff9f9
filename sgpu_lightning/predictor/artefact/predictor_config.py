"""The contents of a predictor's ``config.json``. The other files in the folder hold tensors and the model card."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from sgpu_lightning.answers.storage.vectors import VectorSpec
from sgpu_lightning.predictor.artefact.config_schema import decode_object, from_json
from sgpu_lightning.predictor.predictor_errors import PredictorError

FORMAT_VERSION = 1
SCORED_ANSWER = "the greedy answer where there is one, else the majority answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A metric on held-out answer sets with its 95 % bootstrap interval.

    Args:
        value: The metric on the answer sets themselves.
        low: Lower end of the interval; null where the metric is undefined on every resample.
        high: Upper end of the interval; null where the metric is undefined on every resample.
    """

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """The answer sets whose P(correct) falls into one bin of a reliability diagram.

    Args:
        sets: Number of answer sets in the bin.
        p_correct: Their mean P(correct).
        right: Proportion of them whose scored answer is right.
    """

    sets: int
    p_correct: float
    right: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Performance on answer sets of groups that the predictor was not fitted on.

    Args:
        sets: Number of answer sets.
        right: Proportion of right answers.
        unlike_training: Proportion of the sets that `Domain` marks as unlike the training sets.
        metrics: Metrics by name.
        ece_floor: Expected ECE of a perfectly calibrated predictor on this number of sets.
        calibration: The non-empty bins of equal width, lowest first.
    """

    sets: int
    right: float
    unlike_training: float
    metrics: dict[str, Interval]
    ece_floor: float
    calibration: tuple[CalibrationBin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """The answer sets that the predictor was fitted on.

    Args:
        sets: Number of labelled answer sets.
        right: Proportion of right answers.
        datasets: Names of the datasets that the questions come from.
        models: Names of the models that answered.
        fingerprint: SHA-256 of the answer sets and their labels.
    """

    sets: int
    right: float
    datasets: tuple[str, ...]
    models: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """The criterion by which an answer set is unlike the training sets: its latent variance is high.

    Args:
        quantiles: Quantiles of the training sets' latent variance, by probability.
        unlike_above: A set with a latent variance above this value is unlike the training sets.
    """

    quantiles: dict[str, float]
    unlike_above: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorConfig:
    """Everything about a predictor except its tensors.

    Args:
        title: Heading of the model card.
        license: The predictor's licence, as the hub names it; null if none was given.
        notes: Further text for the model card, such as the owners of the data.
        features: Arguments of `AnswerFeatures`.
        gp: Arguments of `FrozenGP.of_shape`.
        vectors: Origin of the vectors, one entry for each layer. Hidden states may come from a model of any width.
        num_answers: Fewest and most answers in a set that the predictor was fitted for.
        grader: The grader that labelled the training sets that had no label.
        scored_answer: The answer that P(correct) is about.
        training: The answer sets that the predictor was fitted on.
        domain: The criterion by which a set is unlike the training sets.
        evaluation: Performance on sets held out from fitting; null if there were none.
        weights_sha256: SHA-256 of ``model.safetensors``.
        sgpu_version: Version of the package that wrote the file.
        format_version: Version of the file's format.
    """

    title: str
    license: str | None = None
    notes: str = ""
    features: dict[str, Any]
    gp: dict[str, Any]
    vectors: tuple[VectorSpec, ...]
    num_answers: tuple[int, int]
    grader: str
    scored_answer: str = SCORED_ANSWER
    training: TrainingData
    domain: Domain
    evaluation: Evaluation | None = None
    weights_sha256: str = ""
    sgpu_version: str
    format_version: int = field(default=FORMAT_VERSION)

    @property
    def is_black_box(self) -> bool:
        """Whether the predictor uses an encoder's vectors of texts rather than a model's hidden states."""
        return self.vectors[0].kind == "encoder"

    @property
    def uses_question_vectors(self) -> bool:
        """Whether a feature block uses the question's vector."""
        return "question" in self.features.get("blocks", ())

    def describe_num_answers(self) -> str:
        """The required number of answers in words: ``10 answers``, ``3 to 20 answers``."""
        fewest, most = self.num_answers
        return f"{fewest} answers" if fewest == most else f"{fewest} to {most} answers"

    def to_json(self) -> str:
        """The text of ``config.json``."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> PredictorConfig:
        """Read and check ``config.json``.

        Args:
            content: The file's bytes.
            where: Name of the file in error messages.

        Raises:
            PredictorError: If the content is not a JSON object, or has a newer format.
            SchemaError: If a key is missing, is unknown or has another type; the message names the key.
        """
        value = decode_object(content, where)
        version = value.get("format_version")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise PredictorError(f"{where}: expected key 'format_version', an integer from 1, got {version!r:.60}")
        if version > FORMAT_VERSION:
            raise PredictorError(
                f"{where}: format_version {version} is newer than {FORMAT_VERSION}, the newest this version of "
                "sgpu_lightning reads: upgrade sgpu_lightning"
            )
        config = from_json(cls, value, where)
        low, high = config.num_answers
        if not 2 <= low <= high:
            raise PredictorError(
                f"{where}: num_answers: expected two numbers, 2 <= fewest <= most, got {low} and {high}"
            )
        if not config.vectors or len({spec.kind for spec in config.vectors}) > 1:
            raise PredictorError(
                f"{where}: vectors: expected one or more entries of one kind, got {len(config.vectors)} of "
                f"{len({spec.kind for spec in config.vectors})} kinds"
            )
        return config
