"""A predictor people can carry: load it anywhere, score anything."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from sgpu_lightning.answers.reader import OnError, Skipped
from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.storage.vectors import describe_specs
from sgpu_lightning.data.sources import ReadySource
from sgpu_lightning.embedding.encoder import OFFLINE_ENCODER, Encoder
from sgpu_lightning.embedding.memory_cache import RememberingEncoder
from sgpu_lightning.predictor.config import PredictorConfig, PredictorError
from sgpu_lightning.predictor.domain import warn_of_share
from sgpu_lightning.predictor.files import (
    CARD,
    CONFIG,
    PICTURE,
    WEIGHTS,
    find_folder,
    is_hub_name,
    read_file,
    write_folder,
)
from sgpu_lightning.predictor.frozen_predictor import FrozenPredictor, from_bytes, to_bytes
from sgpu_lightning.predictor.given import SetVectors, ready_source, records_of
from sgpu_lightning.predictor.scoring import (
    CHUNK,
    Score,
    describe_count,
    embedded,
    file_parts,
    needs_questions,
    record_check,
    score_rows,
    store_parts,
)

if TYPE_CHECKING:
    from sgpu_lightning.predictor.wrap import WrappedModel

_FINGERPRINT = 64  # characters of a folder's SHA-256, which is no revision on a hub


class SGPUPredictor:
    """Gives the probability that an answer is right, from how much sampled answers disagree.

    Load one with `from_pretrained`. Nothing in its folder is run: tensors come from safetensors, all else from JSON.

    Args:
        config: What the predictor is.
        model: Its tensors.
        encoder: Gives vectors of texts, where the predictor takes an encoder's; None: the one that the config names,
            loaded when it is first needed.

    Raises:
        PredictorError: If the encoder is not the one that the predictor was fitted with.
    """

    def __init__(self, config: PredictorConfig, model: FrozenPredictor, encoder: Encoder | None = None) -> None:
        self.config = config
        self.model = model
        self._encoder: RememberingEncoder | None = None
        if encoder is not None:
            self._take(encoder)

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, revision: str | None = None, encoder: str | Encoder | None = None
    ) -> SGPUPredictor:
        """Load a predictor from a folder or the hub.

        Args:
            name: A folder written by `save_pretrained` or ``sgpu export``, or a hub id ``owner/name``.
            revision: Branch, tag or commit of a hub id.
            encoder: The encoder itself, its folder or its hub id; None: the one that the config names.

        Raises:
            PredictorError: If there is none, or it is damaged, tampered with or of a newer format.
        """
        folder = find_folder(name, revision)
        config = PredictorConfig.from_bytes(read_file(folder, CONFIG), str(folder / CONFIG))
        model = from_bytes(read_file(folder, WEIGHTS), config, str(folder / WEIGHTS))
        return cls(config, model, _load_encoder(encoder) if isinstance(encoder, str) else encoder)

    def save_pretrained(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write the predictor with its card into a new folder, which appears only when it is whole.

        Args:
            folder: The folder.
            overwrite: Whether to replace a predictor that is there.

        Raises:
            PredictorError: If there is one, or the folder holds other files.
        """
        from sgpu_lightning.predictor.card import calibration_picture, model_card

        picture = calibration_picture(self.config)
        weights = to_bytes(self.model)
        # A predictor written by an earlier version has other names for some tensors and settings.
        config = replace(self.config, gp=self.model.gp.settings, weights_sha256=hashlib.sha256(weights).hexdigest())
        files = {
            CONFIG: config.to_json().encode(),
            WEIGHTS: weights,
            CARD: model_card(config, picture=PICTURE if picture else None).encode(),
        }
        write_folder(Path(folder), files | ({PICTURE: picture} if picture else {}), overwrite=overwrite)

    def push_to_hub(self, repo_id: str, *, private: bool = False, revision: str | None = None) -> str:
        """Upload the predictor with its card to the hub; see `sgpu_lightning.predictor.hub.push_folder`.

        Returns:
            Where it is.
        """
        import tempfile

        from sgpu_lightning.predictor.hub import push_folder

        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "predictor"
            self.save_pretrained(folder)
            return push_folder(folder, repo_id, private=private, revision=revision)

    def __repr__(self) -> str:
        made_by, count = describe_specs(self.config.vectors), describe_count(self.config)
        return f"SGPUPredictor('{self.config.title}': {made_by}; {count})"

    @property
    def is_black_box(self) -> bool:
        """Whether it takes an encoder's vectors of texts; if not, a model's hidden states."""
        return self.config.vectors[0].kind == "encoder"

    @property
    def encoder(self) -> RememberingEncoder:
        """The encoder, loaded when first needed; vectors of the texts used last are remembered in memory.

        Raises:
            PredictorError: If the predictor takes hidden states, or names an encoder that can only be given by hand.
        """
        if self._encoder is None:
            self._take(self._named_encoder())
        assert self._encoder is not None
        return self._encoder

    @overload
    def score(
        self,
        answers: Sequence[str],
        *,
        greedy: str | None = None,
        question: str | None = None,
        vectors: SetVectors | None = None,
        **more: Any,
    ) -> Score: ...

    @overload
    def score(
        self,
        answers: Iterable[Mapping[str, Any] | AnswerSet | Sequence[str]],
        *,
        greedy: Sequence[str] | None = None,
        question: Sequence[str] | None = None,
        vectors: Sequence[SetVectors] | None = None,
        **more: Any,
    ) -> list[Score]: ...

    def score(
        self, answers: Any, *, greedy: Any = None, question: Any = None, vectors: Any = None, **more: Any
    ) -> Score | list[Score]:
        """P(correct) of one answer set or of many.

        Args:
            answers: The sampled answers of one set; or a list of such lists; or records (docs/record.md), a
                ``datasets.Dataset`` of them included, whose ``id`` may be absent.
            greedy: The greedy answer, which is then the scored one; of several sets, one for each.
            question: The question; likewise.
            vectors: The answers' vectors, where they are at hand; of several sets, one for each. Hidden states must be
                given; where an encoder's are not, the texts are embedded.
            **more: Further keys of a record, such as ``logprobs``; likewise.

        Returns:
            A score; for several sets a list, in their order.

        Raises:
            RecordError: If a set is not as it should be, or has fewer or more answers than the predictor takes.
            VectorError: If a vector is not finite, or zero.
            PredictorError: If vectors are missing, or of another kind than the predictor was fitted on.
        """
        single, records = records_of(answers, {"greedy": greedy, "question": question, **more})
        check = record_check(self.config)
        for i, record in enumerate(records):
            check(record, f"answer set {i}")
        given = [vectors] if single and vectors is not None else vectors
        parts = range(0, len(records), CHUNK)
        scores = [
            Score(**{key: row[key] for key in Score.__dataclass_fields__})
            for start in parts
            for row in score_rows(
                self.model,
                self.config,
                self._source(records[start : start + CHUNK], given and given[start : start + CHUNK]),
            )
        ]
        warn_of_share(sum(score.unlike_training for score in scores), len(scores), self.config)
        return scores[0] if single else scores

    def score_file(
        self, path: str | Path, *, on_error: OnError = "raise", skipped: Skipped | None = None
    ) -> Iterator[dict[str, Any]]:
        """Score an answer file or a store of any size in bounded memory.

        Args:
            path: A .jsonl, .jsonl.gz or .parquet file, or a store.
            on_error: ``raise`` at a bad record, or ``skip`` it.
            skipped: Collects what ``skip`` leaves out.

        Yields:
            A row for each answer set, in order: the keys of ``sgpu predict`` without ``held_out``, which a predictor
            cannot know, and ``unlike_training``. After the last, a warning where many sets look unlike the training
            sets.
        """
        unlike = sets = 0
        for source in self._parts(Path(path), on_error, skipped or Skipped()):
            for row in score_rows(self.model, self.config, source):
                unlike, sets = unlike + row["unlike_training"], sets + 1
                yield row
        warn_of_share(unlike, sets, self.config)

    def wrap(self, model: Any, processor: Any, **options: Any) -> WrappedModel:
        """Join the predictor to a model: ask once, get the answer with its P(correct).

        Args:
            model: A causal language model or a vision-language model of transformers.
            processor: Its tokenizer or processor.
            **options: Further arguments of `HuggingFaceSampler`, such as ``settings`` and ``prompt``.
        """
        from sgpu_lightning.predictor.wrap import WrappedModel

        return WrappedModel(self, model, processor, **options)

    def _source(self, records: list[AnswerSet], vectors: Sequence[SetVectors] | None) -> ReadySource:
        if vectors is not None:
            return ready_source(records, vectors, self.config)
        if not self.is_black_box:
            raise PredictorError(
                f"this predictor takes hidden states ({self.config.vectors[0].describe()}), not texts: give vectors, "
                "score a store made by 'sgpu sample', or wrap(model, processor)"
            )
        return embedded(records, self.encoder, questions=needs_questions(self.config))

    def _parts(self, path: Path, on_error: OnError, skipped: Skipped) -> Iterator[ReadySource]:
        if path.is_dir():
            return store_parts(path, self.config, (lambda: self.encoder) if self.is_black_box else None)
        if not self.is_black_box:
            raise PredictorError(
                f"{path}: this predictor takes hidden states ({self.config.vectors[0].describe()}), which an answer "
                "file does not hold: give a store made by 'sgpu sample'"
            )
        return file_parts(path, self.config, lambda: self.encoder, on_error, skipped)

    def _take(self, encoder: Encoder) -> None:
        from sgpu_lightning.embedding.embed_answers import encoder_spec
        from sgpu_lightning.predictor.scoring import require_vectors

        require_vectors(self.config, (encoder_spec(encoder),))
        self._encoder = RememberingEncoder(encoder)

    def _named_encoder(self) -> Encoder:
        spec = self.config.vectors[0]
        if spec.kind != "encoder":
            raise PredictorError(f"this predictor takes no encoder's vectors, but {spec.describe()}")
        # A config may come from anywhere: it does not say which folder of this machine is read.
        revision = spec.revision if spec.revision and len(spec.revision) != _FINGERPRINT else None
        if spec.source != OFFLINE_ENCODER and (revision is None or not is_hub_name(spec.source)):
            raise PredictorError(
                f"the predictor was fitted with the encoder in a folder named '{spec.source}': give that folder "
                "(--encoder FOLDER, or encoder= in Python)"
            )
        return _load_encoder(spec.source, revision)


def _load_encoder(name: str, revision: str | None = None) -> Encoder:
    from sgpu_lightning.embedding.encoder import SentenceTransformerEncoder

    return SentenceTransformerEncoder(name, revision=revision)
