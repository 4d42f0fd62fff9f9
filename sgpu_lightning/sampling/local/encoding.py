"""From a question to what a model reads: token ids, and its image as the model's processor gives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sgpu_lightning.errors import QuestionError
from sgpu_lightning.sampling.images import image_size, load_image
from sgpu_lightning.sampling.local.model_inputs import Prompt
from sgpu_lightning.sampling.prompt import build_prompt, is_chat, sees_images, tokenizer_of
from sgpu_lightning.tasks.prompt_settings import PromptSettings
from sgpu_lightning.tasks.question import Question

if TYPE_CHECKING:
    from sgpu_lightning.sampling.prompt import TextEncoder


def encode_prompt(question: Question, encoder: TextEncoder, settings: PromptSettings) -> Prompt:
    """The prompt as a model takes it, never truncated.

    Args:
        question: What is asked.
        encoder: A text model's tokenizer or a vision-language model's processor.
        settings: How it is asked.

    Raises:
        SamplingError: As `build_prompt` and `load_image`, and if the prompt has no token or the processor refuses it.
    """
    text = build_prompt(question, encoder, settings)
    if question.image is None:
        prompt = Prompt(_token_ids(text, encoder, settings))
    else:
        prompt = _encode_with_image(text, question, encoder, settings)
    if not prompt.ids:
        raise QuestionError(question.id, "expected a prompt of at least one token, got an empty one")
    return prompt


def prompt_length(question: Question, encoder: TextEncoder, settings: PromptSettings) -> int:
    """How many tokens `encode_prompt` would give, an image's included, without decoding the image.

    Raises:
        SamplingError: As `build_prompt`, and if the image's size cannot be read.
    """
    length = len(_token_ids(build_prompt(question, encoder, settings), encoder, settings))
    if question.image is None:
        return length
    size = image_size(question, allow_urls=settings.allow_urls)
    processor: Any = encoder
    try:
        counted = processor._get_num_multimodal_tokens(image_sizes=[size], **_counting_options(settings))
        return length - 1 + int(counted["num_image_tokens"][0])
    # What vLLM asks processors too, but no public promise, and some have none.
    except (AttributeError, KeyError, TypeError, ValueError, NotImplementedError):
        return len(encode_prompt(question, encoder, settings).ids)


def _counting_options(settings: PromptSettings) -> dict[str, Any]:
    # Qwen's processor takes its bounds as a size when it encodes and by their old names when it counts.
    size = settings.image_options.get("size")
    if not isinstance(size, dict) or not {"shortest_edge", "longest_edge"} <= size.keys():
        return settings.image_options
    bounds = {"min_pixels": size["shortest_edge"], "max_pixels": size["longest_edge"]}
    return settings.image_options | bounds


def _encode_with_image(text: str, question: Question, encoder: TextEncoder, settings: PromptSettings) -> Prompt:
    processor: Any = encoder
    image = load_image(question, allow_urls=settings.allow_urls)
    special = _wants_special_tokens(text, encoder, settings)
    try:
        given = processor(
            text=[text], images=[image], return_tensors="pt", add_special_tokens=special, **settings.image_options
        )
    except (ValueError, TypeError, IndexError) as error:
        raise QuestionError(question.id, f"{type(encoder).__name__} does not take it: {error}") from error
    tables = {name: table for name, table in given.items() if name != "attention_mask"}
    per_token = [name for name, table in tables.items() if table.shape == given["input_ids"].shape]
    kinds = {name: tables.pop(name)[0].tolist() for name in per_token}
    if _closes_with_end_token(kinds["input_ids"], encoder, settings):
        kinds = {name: row[:-1] for name, row in kinds.items()}
    return Prompt(kinds.pop("input_ids"), kinds, tables)


def _token_ids(text: str, encoder: TextEncoder, settings: PromptSettings) -> list[int]:
    tokenizer = tokenizer_of(encoder)
    ids = list(tokenizer(text, add_special_tokens=_wants_special_tokens(text, encoder, settings))["input_ids"])
    return ids[:-1] if _closes_with_end_token(ids, encoder, settings) else ids


def _closes_with_end_token(ids: Sequence[int], encoder: TextEncoder, settings: PromptSettings) -> bool:
    """Some tokenizers close every text with the end token, after which no model goes on."""
    return not is_chat(encoder, settings) and list(ids[-1:]) == [tokenizer_of(encoder).eos_token_id]


def _wants_special_tokens(text: str, encoder: TextEncoder, settings: PromptSettings) -> bool:
    """Whether the tokenizer's own special tokens belong around the text."""
    if not is_chat(encoder, settings):
        return True
    # A tokenizer's chat template writes its own special tokens, which would be doubled. Some processors' templates,
    # such as LLaVA's, leave the first to the tokenizer; transformers tells them in the same way.
    bos = tokenizer_of(encoder).bos_token
    return sees_images(encoder) and not (bos and text.startswith(bos))
