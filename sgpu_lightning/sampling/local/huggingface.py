"""Answers and hidden states from a model of Hugging Face transformers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any, Self

from sgpu_lightning.errors import QuestionError, SamplingError
from sgpu_lightning.sampling.images import is_address
from sgpu_lightning.sampling.local.batching import Batches
from sgpu_lightning.sampling.local.decoding import decoding_config, eos_ids, generate_rows
from sgpu_lightning.sampling.local.encoding import encode_prompt, prompt_length
from sgpu_lightning.sampling.local.loading import folder_revision, load_model, require_causal_lm
from sgpu_lightning.sampling.local.token_choice import SeededChoice
from sgpu_lightning.sampling.prompt import tokenizer_of
from sgpu_lightning.sampling.recording.hooks import HiddenStateRecorder, Layers, TokenRule, decoder_layers
from sgpu_lightning.sampling.sampled_answers import Sampled, build_record, split_rows
from sgpu_lightning.sampling.sampler import Outcome
from sgpu_lightning.sampling.sampling_settings import SamplingSettings
from sgpu_lightning.tasks.prompt_settings import PromptSettings
from sgpu_lightning.tasks.question import Question

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from sgpu_lightning.sampling.local.model_inputs import Prompt
    from sgpu_lightning.sampling.prompt import TextEncoder


class HuggingFaceSampler:
    """Asks a language or vision-language model: N sampled answers and the greedy one, hidden states recorded.

    What a question gets depends on the model, the settings and the question's id, not on the questions beside it, as
    far as the arithmetic allows: another batch may round differently, which in half precision can flip a close call.

    Args:
        model: A causal language model, or a vision-language model built on one; it is put in evaluation mode.
        tokenizer: The model's tokenizer; a vision-language model's processor. It is not changed: prompts are padded
            here, on the left.
        settings: How answers are drawn; None: the defaults.
        layers: Decoder blocks to record, from 0 or negative from the end; None: the middle one; an empty list: none.
            See `HiddenStateRecorder`.
        token: ``last`` records the last answer token's state, ``mean`` the mean over the answer's tokens.
        prompt: How a question is put to the model; None: the defaults.
        model_name: The record's ``model``; None: the name the model was loaded by.
        revision: For `describe`: the commit, tag or branch the model was loaded at.
        batch_size: Questions that `answer` puts at a time, each of N + 1 rows; fewer once memory runs out.

    Raises:
        SamplingError: If the model is no causal language model, has no decoder layers, or is set to beam search.
        LayerError: If a layer is out of range.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: TextEncoder,
        settings: SamplingSettings | None = None,
        *,
        layers: Layers = None,
        token: TokenRule = "last",
        prompt: PromptSettings | None = None,
        model_name: str | None = None,
        revision: str | None = None,
        batch_size: int = 8,
    ) -> None:
        require_causal_lm(model)
        self.model = model
        model.train(False)
        self.tokenizer = tokenizer_of(tokenizer)
        self.settings = settings or SamplingSettings()
        self.prompt = prompt or PromptSettings()
        self.model_name = model_name or model.name_or_path or type(model).__name__
        self.revision = revision
        self.batch_size = batch_size
        self._recorder = HiddenStateRecorder(model, layers, token)
        self._config = decoding_config(model, self.tokenizer)
        self._encoder = tokenizer
        self._arguments = frozenset(signature(model.forward).parameters)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str,
        *,
        device: str = "auto",
        dtype: str = "auto",
        revision: str | None = None,
        trust_remote_code: bool = False,
        model_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Self:
        """Load a model with its tokenizer or processor, by name or from a folder.

        Args:
            name_or_path: A name on the hub or a folder.
            device: ``auto`` (this process's GPU, else MPS, else the CPU) or a torch device such as ``cuda:1``.
            dtype: ``auto`` (the checkpoint's own), ``float32``, ``bfloat16`` or ``float16``.
            revision: Branch, tag or commit on the hub.
            trust_remote_code: Whether to run code that comes with the model.
            model_options: Further arguments for the model's ``from_pretrained``, for example ``device_map``.
            **options: The other parameters of the class.

        Raises:
            SamplingError: If nothing is found there, or neither a causal nor a vision-language model.
        """
        model, encoder = load_model(
            name_or_path,
            device=device,
            dtype=dtype,
            revision=revision,
            trust_remote_code=trust_remote_code,
            model_options=model_options,
        )
        # A branch moves; the commit it stood for does not.
        commit = getattr(model.config, "_commit_hash", None) or revision or folder_revision(name_or_path)
        return cls(model, encoder, **{"model_name": name_or_path, "revision": commit, **options})

    @property
    def layers(self) -> tuple[int, ...]:
        """The decoder blocks that are recorded, counted from 0."""
        return self._recorder.layers

    @property
    def num_layers(self) -> int:
        """How many decoder blocks the model has."""
        return len(decoder_layers(self.model))

    @property
    def token(self) -> TokenRule:
        """Which of an answer's tokens are recorded."""
        return self._recorder.token

    def answer(self, questions: Sequence[Question]) -> Iterator[Outcome]:
        """Ask the questions in batches of like length, as large as ``batch_size`` and memory allow.

        Yields:
            One outcome for each question, in any order; `Failed` where its prompt cannot be made or does not fit.
        """
        yield from Batches(self.sample, self.batch_size, self._length).outcomes(questions)

    def sample(self, questions: Sequence[Question]) -> list[Sampled]:
        """Ask the questions of one batch.

        Args:
            questions: The batch; all its N + 1 rows a question are generated at once.

        Returns:
            One `Sampled` for each question, in the same order.

        Raises:
            QuestionError: If a question cannot be put to the model, for example since its image is missing or its
                prompt does not fit the model's context, or gives scores that are not finite.
            SamplingError: If no question can, for example since the template is misformatted.
        """
        if not questions:
            return []
        prompts = [self._encode(question) for question in questions]
        ids = [question.id for question in questions]
        choice = SeededChoice(ids, self.settings, eos_ids(self._config), self._recorder)
        rows = self.settings.num_answers + 1
        steps = self.settings.max_new_tokens + bool(self.layers)
        with self._recorder:
            generate_rows(self.model, prompts, rows, steps, choice, self._config)
        return self._collect(questions, choice)

    def prompt_length(self, question: Question) -> int:
        """How many tokens the model reads for a question, its image's included; cheap, as no image is decoded.

        Raises:
            QuestionError: If the question cannot be put to the model, as far as that shows without the image's pixels.
        """
        length = prompt_length(question, self._encoder, self.prompt)
        self._require_room(question, length)
        return length

    def _length(self, question: Question) -> int:
        """`prompt_length` for sorting, 0 where it cannot be had: what is wrong shows when the question is asked."""
        if is_address(question.image):  # which would be fetched twice
            return 0
        try:
            return self.prompt_length(question)
        except SamplingError:
            return 0

    def describe(self) -> dict[str, Any]:
        """Who was asked and how, as JSON-ready keys and values, for the store's manifest."""
        return {
            "model": self.model_name,
            "revision": self.revision,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "layers": list(self.layers),
            "token": self._recorder.token,
            "settings": self.settings.to_dict(),
            "prompt": self.prompt.to_dict(),
        } | self._quantization()

    def _quantization(self) -> dict[str, Any]:
        """How the weights were made smaller, where they were: that is another model."""
        found: Any = getattr(self.model.config, "quantization_config", None)
        kept = found.to_dict() if hasattr(found, "to_dict") else found
        return {} if kept is None else {"quantization": json.loads(json.dumps(kept, default=str))}

    def _encode(self, question: Question) -> Prompt:
        prompt = encode_prompt(question, self._encoder, self.prompt)
        self._require_room(question, len(prompt.ids))
        # Tokenizers give more than some models take.
        kinds = {name: row for name, row in prompt.token_kinds.items() if name in self._arguments}
        images = {name: table for name, table in prompt.images.items() if name in self._arguments}
        return replace(prompt, token_kinds=kinds, images=images)

    def _require_room(self, question: Question, length: int) -> None:
        room = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        if room is not None and length + self.settings.max_new_tokens > room:
            hint = "shorten the context" if question.image is None else "shorten the context or the image's size"
            raise QuestionError(
                question.id,
                f"expected at most {room} tokens, the context of {self.model_name}, got {length} of the prompt and up "
                f"to {self.settings.max_new_tokens} of an answer: {hint} or lower max_new_tokens",
            )

    def _collect(self, questions: Sequence[Question], choice: SeededChoice) -> list[Sampled]:
        rows = self.settings.num_answers + 1
        texts = [str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip() for ids in choice.answer_tokens()]
        logprobs, tokens, cut = choice.logprobs(), choice.scored_tokens(), choice.cut()
        vectors = self._recorder.vectors()
        sampled = []
        for i, question in enumerate(questions):
            own = slice(i * rows, (i + 1) * rows)
            if not all(math.isfinite(value) for value in logprobs[own]):
                raise QuestionError(
                    question.id,
                    f"expected finite scores, got NaN or infinity from {self.model_name}: "
                    "try dtype 'float32' or 'bfloat16'",
                )
            record = build_record(question, texts[own], logprobs[own], tokens[own], cut[own], self.model_name)
            sampled.append(Sampled(record, split_rows(vectors, i * rows, rows)))
        return sampled
