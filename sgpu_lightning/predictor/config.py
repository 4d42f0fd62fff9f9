"""What a predictor's ``config.json`` says; everything else in the folder is tensors and text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sgpu_lightning.answers.storage.vectors import VectorSpec
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.predictor.schema import from_json

FORMAT_VERSION = 1
SCORED_ANSWER = "the greedy answer where there is one, else the majority answer"
_MAX_BYTES = 2**20


class PredictorError(SGPUError):
    """A predictor that cannot be loaded, written, or used on what it is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A metric on held-out answer sets with its 95 % bootstrap interval.

    Args:
        value: On the sets themselves.
        low: Lower end; null where no resample has the metric.
        high: Upper end; likewise.
    """

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """The answer sets whose P(correct) falls in one of the bins.

    Args:
        sets: How many.
        p_correct: Their mean P(correct).
        right: Share of them that are right.
    """

    sets: int
    p_correct: float
    right: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How the predictor did on answer sets of groups it was not fitted on.

    Args:
        sets: How many answer sets.
        right: Share of right answers.
        unlike_training: Share of them that `Domain` calls unlike the training sets.
        metrics: By name.
        ece_floor: The ECE that a perfectly calibrated predictor would show on as many sets.
        calibration: Bins of equal width that hold sets, lowest first.
    """

    sets: int
    right: float
    unlike_training: float
    metrics: dict[str, Interval]
    ece_floor: float
    calibration: tuple[CalibrationBin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """What the predictor was fitted on.

    Args:
        sets: Labelled answer sets.
        right: Share of right answers.
        datasets: Where the questions come from.
        models: Who answered.
        fingerprint: SHA-256 of the answer sets and their labels.
    """

    sets: int
    right: float
    datasets: tuple[str, ...]
    models: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """When an answer set looks unlike the training sets: its latent variance is high.

    Args:
        quantiles: Of the training sets' latent variance, by their share.
        unlike_above: A latent variance above this is unlike training.
    """

    quantiles: dict[str, float]
    unlike_above: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorConfig:
    """Everything about a predictor but its tensors.

    Args:
        title: What the card is headed with.
        license: The predictor's licence, as the hub names it; null where none was given.
        notes: Further text for the card, such as whose the data are.
        features: Arguments of `AnswerFeatures`.
        gp: Arguments of `FrozenGP.of_shape`.
        vectors: What made the vectors, one for each layer. Hidden states may come from a model of any width.
        num_answers: Fewest and most answers in a set that the predictor was fitted for.
        grader: Which grader labelled the training sets that had no label.
        scored_answer: Which answer P(correct) is about.
        training: What it was fitted on.
        domain: When a set looks unlike that.
        evaluation: How it does on sets held out from fitting; null where there were none.
        weights_sha256: Of ``model.safetensors``.
        sgpu_version: Of the package that wrote this.
        format_version: Of this file.
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

    def to_json(self) -> str:
        """The text of ``config.json``."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_bytes(cls, content: bytes, where: str) -> PredictorConfig:
        """Read and check ``config.json``.

        Args:
            content: The file's bytes.
            where: Named in errors.

        Raises:
            PredictorError: If it is no JSON object, or of a newer format.
            SchemaError: Naming the key that is off.
        """
        value = _decode(content, where)
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
                f"{where}: vectors: expected one kind of vectors, got {len(config.vectors)} of several"
            )
        return config


def _decode(content: bytes, where: str) -> Mapping[str, Any]:
    if len(content) > _MAX_BYTES:
        raise PredictorError(f"{where}: expected at most {_MAX_BYTES:,} bytes, got {len(content):,}")
    try:
        value = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise PredictorError(f"{where}: expected UTF-8 text, got a byte that is not ({error})") from error
    except RecursionError as error:
        raise PredictorError(f"{where}: JSON nested too deeply to read") from error
    except ValueError as error:
        raise PredictorError(f"{where}: broken JSON: {error}") from error
    if not isinstance(value, dict):
        raise PredictorError(f"{where}: expected a JSON object, got {type(value).__name__}")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"expected a finite number, got {name}")
