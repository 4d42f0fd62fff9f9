"""P(correct) of answer sets by a frozen predictor, from records or whole files, in bounded memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgpu_lightning.answers.grading import Verdict
from sgpu_lightning.answers.grading.grader import NO_GOLD
from sgpu_lightning.answers.reader import OnError, Skipped, stream_answers
from sgpu_lightning.answers.record import AnswerSet, RecordError
from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.answers.storage.vectors import VectorSpec, describe_specs, specs_match
from sgpu_lightning.data.sources import ReadySource, StoreSource, VectorChoice
from sgpu_lightning.data.table import AnswerTable
from sgpu_lightning.data.vector_runs import vector_runs
from sgpu_lightning.embedding.embed_answers import embed_records, encoder_spec
from sgpu_lightning.embedding.encoder import Encoder
from sgpu_lightning.predictor.config import PredictorConfig, PredictorError
from sgpu_lightning.predictor.domain import is_unlike
from sgpu_lightning.predictor.frozen_predictor import FrozenPredictor
from sgpu_lightning.training.predictions import prediction_records

CHUNK = 1024  # answer sets at a time
MAX_CHARACTERS = 4_000_000  # of all of a set's texts: a tokenizer needs some hundred bytes for each


@dataclass(frozen=True, slots=True)
class Score:
    """What is predicted for one answer set.

    Args:
        id: Of the answer set.
        scored_answer: What P(correct) is about: the greedy answer, else the majority answer.
        p_correct: Probability that it is right.
        latent_mean: Of the latent function.
        latent_variance: Likewise; large where few training sets were like this one.
        data_entropy: Doubt (nats) since the model disagrees with itself.
        mutual_information: Doubt (nats) since such a pattern was rarely seen.
        unlike_training: Whether the set looks unlike what the predictor was fitted on.
    """

    id: str
    scored_answer: str
    p_correct: float
    latent_mean: float
    latent_variance: float
    data_entropy: float
    mutual_information: float
    unlike_training: bool


class _NoGrader:
    """Scoring grades nothing: a record's own label is passed on."""

    def grade(self, records: Sequence[AnswerSet]) -> list[Verdict]:
        return [NO_GOLD] * len(records)


def score_rows(model: FrozenPredictor, config: PredictorConfig, source: ReadySource) -> Iterator[dict[str, Any]]:
    """The keys of `prediction_records`, and ``unlike_training``, for each answer set.

    Args:
        model: The predictor's tensors.
        config: What else is known of it.
        source: Answer sets with vectors.

    Raises:
        PredictorError: If the vectors are not of the kind that the predictor was fitted on.
    """
    require_vectors(config, source.specs())
    table = AnswerTable()
    table.add(source, _NoGrader())
    for run in vector_runs(table):
        prediction = model(run)
        unlike = is_unlike(prediction.latent_variance, config.domain).tolist()
        rows = prediction_records([(run.index, prediction)], table)
        for row, flag in zip(rows, unlike, strict=True):
            yield row | {"unlike_training": flag}


def require_vectors(config: PredictorConfig, given: Sequence[VectorSpec]) -> None:
    """Refuse vectors of another encoder, layer rule or token rule than the predictor was fitted on, naming both."""
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
    """A check that refuses records the predictor was not made for, for `stream_answers`."""
    fewest, most = config.num_answers
    expected = describe_count(config)

    def check(record: AnswerSet, where: str) -> None:
        """Refuse a record with another number of answers, or too much text."""
        if not fewest <= len(record.answers) <= most:
            raise RecordError(
                f"{where}: key 'answers': expected {expected}, which this predictor was fitted on, got "
                f"{len(record.answers)}; sample as many, or fit a predictor on sets of this size"
            )
        characters = sum(map(len, record.answers)) + len(record.greedy or "") + len(record.question)
        if characters > MAX_CHARACTERS:
            raise RecordError(
                f"{where}: expected texts of at most {MAX_CHARACTERS:,} characters in all, got {characters:,}"
            )

    return check


def describe_count(config: PredictorConfig) -> str:
    """How many answers a set must have: ``10 answers``, ``3 to 20 answers``."""
    fewest, most = config.num_answers
    return f"{fewest} answers" if fewest == most else f"{fewest} to {most} answers"


def embedded(records: Sequence[AnswerSet], encoder: Encoder, *, questions: bool) -> ReadySource:
    """Records with an encoder's vectors.

    Raises:
        VectorError: If the encoder gives a vector that is not finite, or zero, naming the answer set.
    """
    shard = embed_records(records, encoder, questions=questions)
    shard.check([record.id for record in records], encoder.name)
    return ReadySource(records, (encoder_spec(encoder),), (shard,))


def file_parts(
    path: Path, config: PredictorConfig, encoder: Callable[[], Encoder], on_error: OnError, skipped: Skipped
) -> Iterator[ReadySource]:
    """An answer file, so many sets at a time, with vectors.

    Args:
        path: See `read_answers`.
        config: Whose numbers of answers the records must have.
        encoder: Gives the encoder, once there is something to embed.
        on_error: See `read_answers`.
        skipped: Likewise.
    """
    records = stream_answers(path, on_error=on_error, skipped=skipped, check=record_check(config))
    while part := list(itertools.islice(records, CHUNK)):
        yield embedded(part, encoder(), questions=needs_questions(config))


def store_parts(path: Path, config: PredictorConfig, encoder: Callable[[], Encoder] | None) -> Iterator[ReadySource]:
    """A store, shard after shard, with the vectors that the predictor takes.

    Args:
        path: The store's folder.
        config: What made the predictor's vectors.
        encoder: Gives the encoder, where the predictor takes an encoder's vectors that the store may lack.
    """
    source = StoreSource(path, _choice(path, config, encoder))
    specs, check, records = source.specs(), record_check(config), source.records()
    require_vectors(config, specs)  # before anything is read
    for shards in source.vectors():
        part = list(itertools.islice(records, len(shards[0].counts)))
        for record in part:
            check(record, f"{path}: set '{record.id}'")
        yield ReadySource(part, specs, shards, str(path))


def needs_questions(config: PredictorConfig) -> bool:
    """Whether a feature looks at the question's vector."""
    return "question" in config.features.get("blocks", ())


def _choice(path: Path, config: PredictorConfig, encoder: Callable[[], Encoder] | None) -> VectorChoice:
    ours = config.vectors
    if ours[0].kind == "encoder":
        return VectorChoice(encoder=encoder, encoder_name=ours[0].source)
    held = [spec for spec in AnswerStore.open(path).vector_specs.values() if spec.kind == "hidden"]
    layers = []
    for spec in ours:
        fitting = [other for other in held if spec.matches(other)]
        if not fitting:
            raise PredictorError(
                f"{path}: the predictor was fitted on vectors of {describe_specs(ours)}, the store holds "
                f"{describe_specs(held) or 'no hidden states'}; sample with that layer and token rule"
            )
        layers.append(min(fitting, key=lambda other: _apart(spec, other)).layer or 0)
    return VectorChoice(layers=layers, token=ours[0].token)


def _apart(spec: VectorSpec, other: VectorSpec) -> float:
    """How far apart two layers are, as shares of their models' depths."""
    depths = [(one.layer or 0) / (one.num_layers or 1) for one in (spec, other)]
    return abs(depths[0] - depths[1])
