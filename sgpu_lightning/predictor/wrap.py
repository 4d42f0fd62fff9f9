"""A model that gives each answer with its P(correct)."""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.storage.vectors import VectorSpec
from sgpu_lightning.predictor.config import PredictorError
from sgpu_lightning.predictor.given import SetVectors
from sgpu_lightning.predictor.scoring import Score, describe_count
from sgpu_lightning.sampling.local.huggingface import HuggingFaceSampler
from sgpu_lightning.sampling.outcome import Sampled
from sgpu_lightning.sampling.recording.hooks import decoder_layers
from sgpu_lightning.sampling.sampling_settings import SamplingSettings
from sgpu_lightning.tasks.question import Question

if TYPE_CHECKING:
    from sgpu_lightning.predictor.predictor import SGPUPredictor


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer and how likely it is right.

    Args:
        answer: The greedy answer.
        score: What is predicted for it.
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
    """A model of transformers joined to a predictor; made by `SGPUPredictor.wrap`.

    Each question is sampled, and for a white-box predictor its hidden states recorded: at the layer as deep in this
    model as the predictor's was in its own, by the predictor's token rule.

    Args:
        predictor: Gives P(correct).
        model: A causal language model or a vision-language model.
        processor: Its tokenizer or processor.
        **options: Further arguments of `HuggingFaceSampler`.

    Raises:
        PredictorError: If the settings ask for fewer or more answers than the predictor takes.
        SamplingError: If the model is no causal language model.
    """

    def __init__(self, predictor: SGPUPredictor, model: Any, processor: Any, **options: Any) -> None:
        fewest, most = predictor.config.num_answers
        settings: SamplingSettings = options.pop("settings", None) or SamplingSettings()
        if settings == SamplingSettings():
            settings = replace(settings, num_answers=min(max(settings.num_answers, fewest), most))
        if not fewest <= settings.num_answers <= most:
            raise PredictorError(
                f"num_answers: expected {describe_count(predictor.config)}, which this predictor was fitted on, got "
                f"{settings.num_answers}"
            )
        if taken := {"layers", "token"} & options.keys():
            raise PredictorError(f"{', '.join(sorted(taken))}: expected nothing, the predictor says which it takes")
        specs = () if predictor.is_black_box else predictor.config.vectors
        layers = [layer_in(spec, len(decoder_layers(model))) for spec in specs]
        token = specs[0].token or "last" if specs else "last"
        self.predictor = predictor
        self.sampler = HuggingFaceSampler(model, processor, settings, layers=layers, token=token, **options)

    def ask(self, question: str, *, image: Any = None, context: str | None = None) -> Reply:
        """Ask once.

        Args:
            question: The question.
            image: Path of the image it is about, or a PIL image.
            context: A passage it is about.

        Raises:
            QuestionError: If it cannot be put to the model.
        """
        with _image_path(image) as path:
            asked = Question(id="question", question=question, context=context, image=path)
            (sampled,) = self.sampler.sample([asked])
        record = sampled.record
        (score,) = self.predictor.score([record], vectors=self._vectors(sampled))
        return Reply(record.greedy or "", score, record)

    def _vectors(self, sampled: Sampled) -> list[SetVectors] | None:
        if self.predictor.is_black_box:
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
    """The layer of a model of ``num_layers`` blocks that is as deep as the one a predictor was fitted on."""
    if not spec.num_layers or spec.layer is None or spec.num_layers == num_layers:
        return spec.layer if spec.layer is not None else num_layers // 2
    # The middle one, the default, is num_layers // 2 whatever the number.
    if spec.layer == spec.num_layers // 2:
        return num_layers // 2
    return min(round(spec.layer / spec.num_layers * num_layers), num_layers - 1)


def _image_path(image: Any) -> AbstractContextManager[str | None]:
    if image is None or isinstance(image, str | Path):
        return nullcontext(None if image is None else str(image))
    return _SavedImage(image)


class _SavedImage:
    """A PIL image as a file, which is what questions name."""

    def __init__(self, image: Any) -> None:
        self._image = image
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> str:
        path = Path(self._folder.name) / "image.png"
        self._image.save(path)
        return str(path)

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
