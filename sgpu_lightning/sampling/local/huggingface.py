"""Sampling answers and recording hidden states from a Hugging Face transformers model."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any, Self

from sgpu_lightning.errors import QuestionError, SamplingError
from sgpu_lightning.sampling.images import is_url
from sgpu_lightning.sampling.local.batching import Batches
from sgpu_lightning.sampling.local.decoding import generate_rows
from sgpu_lightning.sampling.local.encoding import encode_prompt, prompt_length, require_room
from sgpu_lightning.sampling.local.generation_config import decoding_config, eos_ids
from sgpu_lightning.sampling.local.loading import folder_revision, load_model, require_causal_lm
from sgpu_lightning.sampling.local.prompt import tokenizer_of
from sgpu_lightning.sampling.local.token_processor import SelectingProcessor
from sgpu_lightning.sampling.outcome import Outcome, Sampled, build_record, split_rows
from sgpu_lightning.sampling.recording.hooks import HiddenStateRecorder, Layers, decoder_layers
from sgpu_lightning.sampling.sampler_protocol import TokenRule
from sgpu_lightning.sampling.sampling_settings import SamplingSettings
from sgpu_lightning.tasks.prompt_settings import PromptSettings
from sgpu_lightning.tasks.question import Question

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from sgpu_lightning.sampling.local.model_inputs import Prompt
    from sgpu_lightning.sampling.local.prompt import TextEncoder
    from sgpu_lightning.sampling.local.row_trace import RowTrace


class HuggingFaceSampler:
    """Samples N answers and the greedy answer from a language or vision-language model and records hidden states.

    The answers to a question depend on the model, the settings and the question's id, not on the other questions in
    the batch. Rounding is the exception: it can differ between batches, and in half precision this can change which of
    two almost equally likely tokens is selected.

    Args:
        model: A causal language model, or a vision-language model built on one. It is switched to evaluation mode.
        tokenizer: The model's tokenizer, or a vision-language model's processor. It is not changed: prompts are padded
            here, on the left.
        settings: How answers are sampled; None: the defaults.
        layers: Decoder blocks to record, counted from 0, or negative from the end; None: the middle one; an empty list:
            none. See `HiddenStateRecorder`.
        token: ``last`` records the last answer token's hidden state, ``mean`` the mean over the answer's tokens.
        prompt: How a question is put to the model; None: the defaults.
        model_name: The records' ``model``; None: the name under which the model was loaded.
        revision: Commit, tag or branch of the loaded model, for `describe`.
        batch_size: Number of questions that `answer` asks at a time, each with N + 1 rows. It is reduced when memory
            runs out.

    Raises:
        SamplingError: If the model is not a causal language model, has no decoder layers, or is set to beam search.
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
            SamplingError: If nothing is found under the name, or the model is neither a causal nor a vision-language
                model.
        """
        model, encoder = load_model(
            name_or_path,
            device=device,
            dtype=dtype,
            revision=revision,
            trust_remote_code=trust_remote_code,
            model_options=model_options,
        )
        # A branch can move to another commit later; the commit identifies the weights.
        commit = getattr(model.config, "_commit_hash", None) or revision or folder_revision(name_or_path)
        return cls(model, encoder, **{"model_name": name_or_path, "revision": commit, **options})

    @property
    def layers(self) -> tuple[int, ...]:
        """The recorded decoder blocks, counted from 0."""
        return self._recorder.layers

    @property
    def num_layers(self) -> int:
        """The model's number of decoder blocks."""
        return len(decoder_layers(self.model))

    @property
    def token(self) -> TokenRule:
        """Which hidden state is recorded: that of an answer's last token, or the mean over its tokens."""
        return self._recorder.token

    def answer(self, questions: Sequence[Question]) -> Iterator[Outcome]:
        """Ask the questions in batches of similar prompt length, as large as ``batch_size`` and memory allow.

        Args:
            questions: The questions.

        Yields:
            One outcome for each question, in any order; `Failed` if its prompt cannot be built or does not fit.
        """
        yield from Batches(self.sample, self.batch_size, self._sort_length).outcomes(questions)

    def sample(self, questions: Sequence[Question]) -> list[Sampled]:
        """Ask the questions of one batch.

        Args:
            questions: The questions; all their rows, N + 1 per question, are generated together.

        Returns:
            One `Sampled` for each question, in the same order.

        Raises:
            QuestionError: If one question cannot be put to the model, for example because its image is missing or its
                prompt does not fit the model's context, or if it gives scores that are not finite.
            SamplingError: If no question can be put to the model, for example because the template is malformed.
        """
        if not questions:
            return []
        prompts = [self._encode(question) for question in questions]
        ids = [question.id for question in questions]
        processor = SelectingProcessor.for_batch(ids, self.settings, eos_ids(self._config), self._recorder.mark)
        rows = self.settings.num_answers + 1
        steps = self.settings.max_new_tokens + bool(self.layers)
        with self._recorder:
            generate_rows(self.model, prompts, rows, steps, processor, self._config)
        return self._collect(questions, processor.trace)

    def prompt_length(self, question: Question) -> int:
        """The number of tokens the model reads for a question, its image's included. The image is not decoded.

        Args:
            question: The question.

        Raises:
            QuestionError: If the question cannot be put to the model. Damaged image pixels are not detected.
        """
        length = prompt_length(question, self._encoder, self.prompt)
        require_room(question, length, self.model, self.settings.max_new_tokens, self.model_name)
        return length

    def _sort_length(self, question: Question) -> int:
        """`prompt_length` for sorting; 0 if it cannot be determined, since asking the question reports the error."""
        if is_url(question.image):  # the image would be fetched twice
            return 0
        try:
            return self.prompt_length(question)
        except SamplingError:
            return 0

    def describe(self) -> dict[str, Any]:
        """The model and the settings as JSON-ready keys and values, for the store's manifest."""
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
        """The quantization of the weights, if any: quantized weights are another model."""
        config: Any = getattr(self.model.config, "quantization_config", None)
        fields = config.to_dict() if hasattr(config, "to_dict") else config
        return {} if fields is None else {"quantization": json.loads(json.dumps(fields, default=str))}

    def _encode(self, question: Question) -> Prompt:
        prompt = encode_prompt(question, self._encoder, self.prompt)
        require_room(question, len(prompt.ids), self.model, self.settings.max_new_tokens, self.model_name)
        # Tokenizers give inputs that some models do not accept.
        kinds = {name: row for name, row in prompt.token_kinds.items() if name in self._arguments}
        images = {name: table for name, table in prompt.images.items() if name in self._arguments}
        return replace(prompt, token_kinds=kinds, images=images)

    def _collect(self, questions: Sequence[Question], trace: RowTrace) -> list[Sampled]:
        rows = self.settings.num_answers + 1
        texts = [str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip() for ids in trace.answer_tokens()]
        logprobs, tokens, cut = trace.logprobs(), trace.scored_tokens(), trace.cut()
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
            sampled.append(Sampled(record, split_rows(vectors, own)))
        return sampled
