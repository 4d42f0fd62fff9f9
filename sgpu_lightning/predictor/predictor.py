"""The portable predictor: load it, score answer sets with it, save it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from sgpu_lightning.answers.reader import OnError, Skipped
from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.storage.vectors import describe_specs
from sgpu_lightning.embedding.encoder import Encoder
from sgpu_lightning.embedding.memory_cache import RememberingEncoder
from sgpu_lightning.predictor.artefact.frozen_predictor import FrozenPredictor, read_predictor, to_bytes
from sgpu_lightning.predictor.artefact.hub import find_folder
from sgpu_lightning.predictor.artefact.predictor_config import PredictorConfig
from sgpu_lightning.predictor.artefact.safe_files import CARD, CONFIG, PICTURE, WEIGHTS, write_folder
from sgpu_lightning.predictor.artefact.training_domain import warn_if_unlike
from sgpu_lightning.predictor.scoring.input_checks import record_check
from sgpu_lightning.predictor.scoring.record_input import records_of
from sgpu_lightning.predictor.scoring.score_rows import Score, score_rows
from sgpu_lightning.predictor.scoring.scoring_sources import memory_parts, path_parts
from sgpu_lightning.predictor.scoring.text_encoder import checked_encoder, load_encoder, named_encoder
from sgpu_lightning.predictor.scoring.vectors_input import SetVectors

if TYPE_CHECKING:
    from sgpu_lightning.predictor.wrap import WrappedModel


class SGPUPredictor:
    """Gives the probability that an answer is right, from how much sampled answers disagree.

    Load a predictor with `from_pretrained`. No code in its folder is run: tensors are read from safetensors, everything
    else from JSON.

    Args:
        config: The predictor's config.
        model: The frozen predictor.
        encoder: Encoder of texts, for a predictor that takes an encoder's vectors; None for the encoder that the config
            names, which is loaded when it is first needed.

    Raises:
        PredictorError: If the encoder is not the one that the predictor was fitted with.
    """

    def __init__(self, config: PredictorConfig, model: FrozenPredictor, encoder: Encoder | None = None) -> None:
        self.config = config
        self.model = model
        self._encoder = None if encoder is None else checked_encoder(encoder, config)

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, revision: str | None = None, encoder: str | Encoder | None = None
    ) -> SGPUPredictor:
        """Load a predictor from a folder or the hub.

        Args:
            name: A folder written by `save_pretrained` or ``sgpu export``, or a hub id ``owner/name``.
            revision: Branch, tag or commit of a hub id; None for the default branch.
            encoder: The encoder itself, its folder or its hub id; None for the encoder that the config names.

        Raises:
            PredictorError: If there is no predictor, or it is damaged, tampered with or of a newer format.
        """
        config, model = read_predictor(find_folder(name, revision))
        return cls(config, model, load_encoder(encoder) if isinstance(encoder, str) else encoder)

    def save_pretrained(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write the predictor with its model card into a new folder. The folder appears only when it is complete.

        Args:
            folder: The folder.
            overwrite: Whether an existing predictor may be replaced.

        Raises:
            PredictorError: If the folder holds a predictor and ``overwrite`` is false, or it holds other files.
        """
        from sgpu_lightning.predictor.artefact.calibration_plot import calibration_plot
        from sgpu_lightning.predictor.artefact.model_card import model_card

        picture = calibration_plot(self.config)
        weights = to_bytes(self.model)
        # A predictor written by an earlier version may have used other names for some tensors and settings.
        config = replace(self.config, gp=self.model.gp.settings, weights_sha256=hashlib.sha256(weights).hexdigest())
        files = {
            CONFIG: config.to_json().encode(),
            WEIGHTS: weights,
            CARD: model_card(config, picture=PICTURE if picture else None).encode(),
        }
        write_folder(Path(folder), files | ({PICTURE: picture} if picture else {}), overwrite=overwrite)

    def push_to_hub(self, repo_id: str, *, private: bool = False, revision: str | None = None) -> str:
        """Upload the predictor with its model card to the hub.

        Args:
            repo_id: Hub id ``owner/name``; the repository is created if it does not exist.
            private: Whether a newly created repository is private.
            revision: Branch; None for the main branch.

        Returns:
            URL of the uploaded commit.

        Raises:
            PredictorError: If the hub refuses the upload.
        """
        import tempfile

        from sgpu_lightning.predictor.artefact.hub import push_folder

        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "predictor"
            self.save_pretrained(folder)
            return push_folder(folder, repo_id, private=private, revision=revision)

    def __repr__(self) -> str:
        made_by, count = describe_specs(self.config.vectors), self.config.describe_num_answers()
        return f"SGPUPredictor('{self.config.title}': {made_by}; {count})"

    @property
    def is_black_box(self) -> bool:
        """Whether the predictor uses an encoder's vectors of texts rather than a model's hidden states."""
        return self.config.is_black_box

    @property
    def encoder(self) -> RememberingEncoder:
        """The encoder, loaded at the first access. Vectors of the most recently used texts are kept in memory.

        Raises:
            PredictorError: If the predictor takes hidden states, or its encoder has to be given explicitly.
        """
        if self._encoder is None:
            self._encoder = checked_encoder(named_encoder(self.config), self.config)
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
        """Compute P(correct) of one answer set or of several.

        Args:
            answers: The sampled answers of one set; or a list of such lists; or records (docs/record.md) whose ``id``
                may be absent, for example a ``datasets.Dataset``.
            greedy: The greedy answer, which is then the scored answer; for several sets, one for each.
            question: The question; for several sets, one for each.
            vectors: Vectors of the answers; for several sets, one entry for each. Hidden states must be given. If an
                encoder's vectors are not given, the texts are embedded.
            **more: Further keys of a record, such as ``logprobs``; for several sets, one list per key.

        Returns:
            A score; for several sets a list of scores in their order.

        Raises:
            RecordError: If a set is invalid, or has fewer or more answers than the predictor takes.
            VectorError: If a vector is zero or not finite.
            PredictorError: If vectors are missing, or are of another kind than the predictor was fitted on.
        """
        single, records = records_of(answers, {"greedy": greedy, "question": question, **more})
        check = record_check(self.config)
        for i, record in enumerate(records):
            check(record, f"answer set {i}")
        given = [vectors] if single and vectors is not None else vectors
        scores = [
            Score.from_row(row)
            for part in memory_parts(records, given, self.config, lambda: self.encoder)
            for row in score_rows(self.model, self.config, part)
        ]
        warn_if_unlike(sum(score.unlike_training for score in scores), len(scores), self.config)
        return scores[0] if single else scores

    def score_file(
        self, path: str | Path, *, on_error: OnError = "raise", skipped: Skipped | None = None
    ) -> Iterator[dict[str, Any]]:
        """Score an answer file or a store of any size in bounded memory.

        Args:
            path: A .jsonl, .jsonl.gz or .parquet file, or a store's folder.
            on_error: What to do with a bad record: ``raise`` an error, or ``skip`` it.
            skipped: Collects the records that ``skip`` leaves out.

        Yields:
            A row for each answer set, in order: the keys of ``sgpu predict`` except ``held_out``, which is unknown to a
            predictor, and ``unlike_training``. After the last row, `UnlikeTrainingWarning` is issued if many sets look
            unlike the training sets.
        """
        unlike = sets = 0
        for part in path_parts(Path(path), self.config, lambda: self.encoder, on_error, skipped or Skipped()):
            for row in score_rows(self.model, self.config, part):
                unlike, sets = unlike + row["unlike_training"], sets + 1
                yield row
        warn_if_unlike(unlike, sets, self.config)

    def wrap(self, model: Any, processor: Any, **options: Any) -> WrappedModel:
        """Join the predictor to a model, which then gives each answer with its P(correct).

        Args:
            model: A causal language model or a vision-language model of transformers.
            processor: Its tokenizer or processor.
            **options: Further arguments of `HuggingFaceSampler`, such as ``settings`` and ``prompt``.
        """
        from sgpu_lightning.predictor.wrap import WrappedModel

        return WrappedModel(self, model, processor, **options)
