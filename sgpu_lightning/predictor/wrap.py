"""A transformers model joined to a predictor: it gives each answer with its P(correct)."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.storage.vectors import VectorSpec
from sgpu_lightning.predictor.artefact.predictor_config import PredictorConfig
from sgpu_lightning.predictor.predictor_errors import PredictorError
from sgpu_lightning.predictor.scoring.score_rows import Score
from sgpu_lightning.predictor.scoring.vectors_input import SetVectors
from sgpu_lightning.sampling.local.huggingface import HuggingFaceSampler
from sgpu_lightning.sampling.outcome import Sampled
from sgpu_lightning.sampling.recording.hooks import decoder_layers
from sgpu_lightning.sampling.sampling_settings import SamplingSettings
from sgpu_lightning.tasks.question import Question


class Scorer(Protocol):
    """The part of `SGPUPredictor` that `WrappedModel` uses."""

    config: PredictorConfig

    def score(self, answers: Sequence[AnswerSet], *, vectors: Sequence[SetVectors] | None = None) -> list[Score]:
        """Score answer sets; see `SGPUPredictor.score`."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer and its score.

    Args:
        answer: The greedy answer.
        score: The prediction for it.
        record: The question with the sampled answers.
    """

    answer: str
    score: Score
    record: AnswerSet

    @property
    def p_correct(self) -> float:
        """Probability that the answer is right."""
        return self.score.p_correct


class WrappedModel:
    """A transformers model joined to a predictor, as made by `SGPUPredictor.wrap`.

    The model's answers to each question are sampled. For a white-box predictor its hidden states are recorded as well,
    by the predictor's token rule, at the layer whose relative depth is that of the predictor's layer in its own model.

    Args:
        predictor: The predictor.
        model: A causal language model or a vision-language model.
        processor: Its tokenizer or processor.
        **options: Further arguments of `HuggingFaceSampler`, except ``layers`` and ``token``. By default as many
            answers are sampled as `SamplingSettings` says, within the predictor's range.

    Raises:
        PredictorError: If the settings ask for fewer or more answers than the predictor takes, or an option is given
            that the predictor determines.
        SamplingError: If the model is not a causal language model.
    """

    def __init__(self, predictor: Scorer, model: Any, processor: Any, **options: Any) -> None:
        fewest, most = predictor.config.num_answers
        settings: SamplingSettings = options.pop("settings", None) or SamplingSettings()
        if settings == SamplingSettings():
            settings = replace(settings, num_answers=min(max(settings.num_answers, fewest), most))
        if not fewest <= settings.num_answers <= most:
            raise PredictorError(
                f"num_answers: expected {predictor.config.describe_num_answers()}, which this predictor was fitted on, "
                f"got {settings.num_answers}"
            )
        if fixed := sorted({"layers", "token"} & options.keys()):
            raise PredictorError(
                f"{', '.join(fixed)}: expected no value, since the predictor determines it; leave it out"
            )
        specs = () if predictor.config.is_black_box else predictor.config.vectors
        layers = [layer_in(spec, len(decoder_layers(model))) for spec in specs]
        token = specs[0].token or "last" if specs else "last"
        self.predictor = predictor
        self.sampler = HuggingFaceSampler(model, processor, settings, layers=layers, token=token, **options)

    def ask(self, question: str, *, image: Any = None, context: str | None = None) -> Reply:
        """Sample answers to a question and score the greedy one.

        Args:
            question: The question.
            image: The image that the question is about, as a path or a PIL image; None for none.
            context: A passage that the question is about; None for none.

        Raises:
            QuestionError: If the model cannot be asked the question.
        """
        with _image_path(image) as path:
            asked = Question(id="question", question=question, context=context, image=path)
            (sampled,) = self.sampler.sample([asked])
        record = sampled.record
        (score,) = self.predictor.score([record], vectors=self._vectors(sampled))
        return Reply(record.greedy or "", score, record)

    def _vectors(self, sampled: Sampled) -> list[SetVectors] | None:
        if self.predictor.config.is_black_box:
            return None
        import torch

        layers = [sampled.vectors[layer] for layer in self.sampler.layers]
        answers, scored = (torch.stack(part) for part in zip(*layers, strict=True))
        made_by = tuple(
            VectorSpec(
                kind="hidden",
                source=self.sampler.model_name,
                dim=answers.shape[-1],
                layer=layer,
                num_layers=self.sampler.num_layers,
                token=self.sampler.token,
            )
            for layer in self.sampler.layers
        )
        return [SetVectors(answers, scored, made_by=made_by)]


def layer_in(spec: VectorSpec, num_layers: int) -> int:
    """Find the layer at the same relative depth as the one that a predictor was fitted on.

    Args:
        spec: Origin of the vectors that the predictor was fitted on.
        num_layers: Number of decoder layers of the other model.

    Returns:
        The layer's index.
    """
    if not spec.num_layers or spec.layer is None or spec.num_layers == num_layers:
        return spec.layer if spec.layer is not None else num_layers // 2
    # The middle layer, the default, maps to the middle layer: rounding the relative depth may miss it by one.
    if spec.layer == spec.num_layers // 2:
        return num_layers // 2
    return min(round(spec.layer / spec.num_layers * num_layers), num_layers - 1)


def _image_path(image: Any) -> AbstractContextManager[str | None]:
    if image is None or isinstance(image, str | Path):
        return nullcontext(None if image is None else str(image))
    return _SavedImage(image)


class _SavedImage:
    """A PIL image saved to a temporary file, since a question refers to its image by path."""

    def __init__(self, image: Any) -> None:
        self._image = image
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> str:
        path = Path(self._folder.name) / "image.png"
        self._image.save(path)
        return str(path)

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
