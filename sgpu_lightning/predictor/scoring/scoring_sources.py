"""Answer sets with vectors to score, from memory, an answer file or a store, in parts of bounded size."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sgpu_lightning.answers.reader import OnError, Skipped, stream_answers
from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.answers.storage.vectors import VectorSpec, describe_specs
from sgpu_lightning.data.sources import ReadySource, StoreSource, VectorChoice
from sgpu_lightning.embedding.embed_answers import embed_records, encoder_spec
from sgpu_lightning.embedding.encoder import Encoder
from sgpu_lightning.predictor.artefact.predictor_config import PredictorConfig
from sgpu_lightning.predictor.predictor_errors import PredictorError
from sgpu_lightning.predictor.scoring.input_checks import record_check, require_vectors
from sgpu_lightning.predictor.scoring.vectors_input import SetVectors, ready_source

CHUNK = 1024  # answer sets in a part

LoadEncoder = Callable[[], Encoder]


def memory_parts(
    records: Sequence[AnswerSet],
    vectors: Sequence[SetVectors] | None,
    config: PredictorConfig,
    encoder: LoadEncoder,
) -> Iterator[ReadySource]:
    """Join records in memory and their vectors, part by part.

    Args:
        records: The answer sets.
        vectors: Their vectors; None to embed the texts.
        config: The predictor's config.
        encoder: Returns the encoder; called only if texts are embedded.

    Raises:
        PredictorError: If vectors are missing and the predictor takes hidden states.
    """
    for start in range(0, len(records), CHUNK):
        part = records[start : start + CHUNK]
        if vectors is not None:
            yield ready_source(part, vectors[start : start + CHUNK], config)
        elif config.is_black_box:
            yield embed_source(part, config, encoder())
        else:
            raise PredictorError(
                f"this predictor takes hidden states ({config.vectors[0].describe()}), not texts: give vectors, "
                "score a store made by 'sgpu sample', or wrap(model, processor)"
            )


def path_parts(
    path: Path, config: PredictorConfig, encoder: LoadEncoder, on_error: OnError, skipped: Skipped
) -> Iterator[ReadySource]:
    """Read an answer file or a store with its vectors, part by part.

    Args:
        path: A .jsonl, .jsonl.gz or .parquet file, or a store's folder.
        config: The predictor's config.
        encoder: Returns the encoder; called only if texts are embedded.
        on_error: What to do with a bad record of a file: ``raise`` an error, or ``skip`` it.
        skipped: Collects the records that ``skip`` leaves out.

    Raises:
        PredictorError: If the path holds no vectors of the kind that the predictor takes.
    """
    if path.is_dir():
        return _store_parts(path, config, encoder)
    if not config.is_black_box:
        raise PredictorError(
            f"{path}: this predictor takes hidden states ({config.vectors[0].describe()}), which an answer "
            "file does not hold: give a store made by 'sgpu sample'"
        )
    return _file_parts(path, config, encoder, on_error, skipped)


def embed_source(records: Sequence[AnswerSet], config: PredictorConfig, encoder: Encoder) -> ReadySource:
    """Embed the texts of records.

    Args:
        records: The answer sets.
        config: The predictor's config; questions are embedded only if it uses their vectors.
        encoder: The encoder.

    Raises:
        VectorError: If the encoder returns a vector that is zero or not finite; the message names the answer set.
    """
    shard = embed_records(records, encoder, questions=config.uses_question_vectors)
    shard.check([record.id for record in records], encoder.name)
    return ReadySource(records, (encoder_spec(encoder),), (shard,))


def _file_parts(
    path: Path, config: PredictorConfig, encoder: LoadEncoder, on_error: OnError, skipped: Skipped
) -> Iterator[ReadySource]:
    records = stream_answers(path, on_error=on_error, skipped=skipped, check=record_check(config))
    while part := list(itertools.islice(records, CHUNK)):
        yield embed_source(part, config, encoder())


def _store_parts(path: Path, config: PredictorConfig, encoder: LoadEncoder) -> Iterator[ReadySource]:
    """Read a store shard by shard."""
    source = StoreSource(path, _vector_choice(path, config, encoder))
    specs, check, records = source.specs(), record_check(config), source.records()
    require_vectors(config, specs)  # before any shard is read
    for shards in source.vectors():
        part = list(itertools.islice(records, len(shards[0].counts)))
        for record in part:
            check(record, f"{path}: set '{record.id}'")
        yield ReadySource(part, specs, shards, str(path))


def _vector_choice(path: Path, config: PredictorConfig, encoder: LoadEncoder) -> VectorChoice:
    """Choose the store's vectors that the predictor takes; for hidden states the layers nearest in relative depth."""
    ours = config.vectors
    if config.is_black_box:
        return VectorChoice(encoder=encoder, encoder_name=ours[0].source)
    held = [spec for spec in AnswerStore.open(path).vector_specs.values() if spec.kind == "hidden"]
    layers = []
    for spec in ours:
        matching = [other for other in held if spec.matches(other)]
        if not matching:
            raise PredictorError(
                f"{path}: the predictor was fitted on vectors of {describe_specs(ours)}, the store holds "
                f"{describe_specs(held) or 'no hidden states'}; sample with that layer and token rule"
            )
        layers.append(min(matching, key=lambda other: _depth_difference(spec, other)).layer or 0)
    return VectorChoice(layers=layers, token=ours[0].token)


def _depth_difference(spec: VectorSpec, other: VectorSpec) -> float:
    """Absolute difference of two layers' relative depths in their models."""
    depths = [(one.layer or 0) / (one.num_layers or 1) for one in (spec, other)]
    return abs(depths[0] - depths[1])
