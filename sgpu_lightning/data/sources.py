"""Sources of answer sets with vectors: stores, and answer files, whose texts are embedded while they are read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sgpu_lightning.answers.reader import OnError, Skipped, read_answers
from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.row_files import is_row_file
from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.answers.storage.vectors import VectorError, VectorShard, VectorSpec, describe_specs
from sgpu_lightning.embedding.embed_answers import embed_records, encoder_spec
from sgpu_lightning.embedding.encoder import Encoder

_FILE_CHUNK = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorChoice:
    """Which vectors of a source to use.

    Args:
        encoder: Returns the sentence encoder (black-box), which is loaded at the first call; None for hidden states.
        encoder_name: Name of the encoder; None for hidden states.
        layers: Decoder layers (white-box); None for all layers that a store holds with the token rule.
        token: Token rule of the hidden states, ``last`` or ``mean``; None for the one that a store holds, if it holds
            only one.

    Raises:
        VectorError: If both an encoder and hidden states are asked for.
    """

    encoder: Callable[[], Encoder] | None = None
    encoder_name: str | None = None
    layers: Sequence[int] | None = None
    token: str | None = None

    def __post_init__(self) -> None:
        hidden = {"layers": self.layers, "token": self.token}
        given = ", ".join(f"{name} {value}" for name, value in hidden.items() if value is not None)
        if given and self.encoder is not None:
            raise VectorError(
                f"{given}: expected hidden states or an encoder's vectors, got encoder '{self.encoder_name}' as well; "
                "set the encoder to null for hidden states"
            )


class Source(Protocol):
    """Answer sets in a fixed order. Texts and vectors are read separately."""

    name: str
    grader: str | None  # name of the grader of its task; None for the default grader

    def records(self) -> Iterator[AnswerSet]:
        """The answer sets."""
        ...

    def specs(self) -> tuple[VectorSpec, ...]:
        """What made the vectors, one specification for each layer."""
        ...

    def vectors(self) -> Iterator[tuple[VectorShard, ...]]:
        """Yield the vectors of the same answer sets in consecutive runs, each with one shard for each layer."""
        ...


class FileSource:
    """A .jsonl, .jsonl.gz or .parquet file, whose answers are embedded while they are read."""

    grader: str | None = None

    def __init__(self, path: Path, choice: VectorChoice, on_error: OnError, skipped: Skipped) -> None:
        self.name = str(path)
        self._path, self._choice, self._on_error, self._skipped = path, choice, on_error, skipped

    def records(self) -> Iterator[AnswerSet]:
        """The answer sets; with ``on_error="skip"`` only the valid ones."""
        return read_answers(self._path, on_error=self._on_error, skipped=self._skipped)

    def specs(self) -> tuple[VectorSpec, ...]:
        """The specification of the encoder."""
        return (encoder_spec(self._encoder()),)

    def vectors(self) -> Iterator[tuple[VectorShard, ...]]:
        """Yield the embeddings in consecutive runs of answer sets."""
        records = read_answers(self._path, on_error=self._on_error)
        while part := list(itertools.islice(records, _FILE_CHUNK)):
            yield (_embed(part, self._encoder(), self.name),)

    def _encoder(self) -> Encoder:
        if self._choice.encoder is None:
            raise VectorError(
                f"{self.name}: an answer file holds no hidden states: give a store made by 'sgpu sample', "
                "or an encoder, such as minilm"
            )
        return self._choice.encoder()


@dataclass(slots=True)
class ReadySource:
    """Answer sets in memory with their vectors.

    Args:
        answer_sets: The answer sets.
        vector_specs: What made the vectors, one specification for each layer.
        shards: The vectors, one shard for each layer.
        name: Name of the source in messages.
        grader: Name of the grader of its task; None for the default grader.
    """

    answer_sets: Sequence[AnswerSet]
    vector_specs: tuple[VectorSpec, ...]
    shards: tuple[VectorShard, ...]
    name: str = "answer sets"
    grader: str | None = None

    def records(self) -> Iterator[AnswerSet]:
        """The answer sets."""
        return iter(self.answer_sets)

    def specs(self) -> tuple[VectorSpec, ...]:
        """What made the vectors."""
        return self.vector_specs

    def vectors(self) -> Iterator[tuple[VectorShard, ...]]:
        """The vectors of all answer sets as one run."""
        yield self.shards


class StoreSource:
    """A store. If it lacks the vectors of the chosen encoder, its texts are embedded while it is read."""

    def __init__(self, path: Path, choice: VectorChoice) -> None:
        self.name = str(path)
        self._store = AnswerStore.open(path)
        self._choice = choice
        self.grader: str | None = self._store.source.get("grader")

    def records(self) -> Iterator[AnswerSet]:
        """The answer sets."""
        return self._store.records()

    def specs(self) -> tuple[VectorSpec, ...]:
        """The chosen vector sets of the store.

        Raises:
            VectorError: If the store does not hold them; the message lists the vectors that it holds.
        """
        if self._choice.encoder is not None:
            return self._encoder_specs()
        specs = [spec for spec in self._store.vector_specs.values() if spec.kind == "hidden"]
        wanted = [spec for spec in specs if self._choice.token in (None, spec.token)]
        if len({spec.token for spec in wanted}) != 1:
            raise self._refusal(f"hidden states of one token rule (token {self._choice.token or 'not given'})")
        if self._choice.layers is not None:
            by_layer = {spec.layer: spec for spec in wanted}
            wanted = [by_layer[layer] for layer in self._choice.layers if layer in by_layer]
            if not wanted or len(wanted) < len(self._choice.layers):
                raise self._refusal(f"layers {list(self._choice.layers)}, token {self._choice.token or 'any'}")
        return tuple(sorted(wanted, key=lambda spec: spec.layer or 0))

    def vectors(self) -> Iterator[tuple[VectorShard, ...]]:
        """Yield the vectors of one shard after another."""
        specs = self.specs()
        for shard in self._store.shards:
            yield tuple(self._shard(spec, shard) for spec in specs)

    def _encoder_specs(self) -> tuple[VectorSpec, ...]:
        held = [spec for spec in self._store.vector_specs.values() if spec.kind == "encoder"]
        same_name = [spec for spec in held if spec.source == self._choice.encoder_name]
        if held and not same_name:
            raise self._refusal(f"vectors of encoder {self._choice.encoder_name}")
        # The manifest holds the specification, so the encoder is loaded only if texts must be embedded.
        return (same_name[0],) if same_name else (encoder_spec(self._load_encoder()),)

    def _shard(self, spec: VectorSpec, shard: str) -> VectorShard:
        if spec.name in self._store.vector_specs:
            vectors = self._store.read_vectors(spec.name, shard)
            if vectors.is_bad():  # the records are read only to name the answer set in the message
                vectors.check([record.id for record in self._store.read(shard)], self.name)
            return vectors
        return _embed(self._store.read(shard), self._load_encoder(), self.name)

    def _load_encoder(self) -> Encoder:
        assert self._choice.encoder is not None
        return self._choice.encoder()

    def _refusal(self, wanted: str) -> VectorError:
        held = describe_specs(list(self._store.vector_specs.values())) or "no vectors"
        return VectorError(
            f"{self.name}: expected {wanted}, the store holds: {held}; "
            "change --data.encoder, --data.layers or --data.token, or write them with 'sgpu embed' or 'sgpu sample'"
        )


def _embed(records: list[AnswerSet], encoder: Encoder, where: str) -> VectorShard:
    shard = embed_records(records, encoder)
    shard.check([record.id for record in records], where)
    return shard


def open_source(path: str | Path, choice: VectorChoice, on_error: OnError, skipped: Skipped) -> Source:
    """Open a file or a store as a source.

    Raises:
        FileNotFoundError: If there is no such file or folder.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return StoreSource(path, choice)
    if not path.exists() and not is_row_file(path):
        raise FileNotFoundError(f"{path}: no such answer file or store folder")
    return FileSource(path, choice, on_error, skipped)
