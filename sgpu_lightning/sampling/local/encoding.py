"""Encoding a question as model inputs: token ids, and the image as the model's processor prepares it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sgpu_lightning.errors import QuestionError
from sgpu_lightning.sampling.images import image_size, load_image
from sgpu_lightning.sampling.local.model_inputs import Prompt
from sgpu_lightning.sampling.local.prompt import build_prompt, is_chat, takes_images, tokenizer_of
from sgpu_lightning.tasks.prompt_settings import PromptSettings
from sgpu_lightning.tasks.question import Question

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from sgpu_lightning.sampling.local.prompt import TextEncoder


def encode_prompt(question: Question, encoder: TextEncoder, settings: PromptSettings) -> Prompt:
    """Encode a question's prompt; it is never truncated.

    Args:
        question: The question.
        encoder: The tokenizer of a text model or the processor of a vision-language model.
        settings: How the question is put to the model.

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
    """The number of tokens that `encode_prompt` gives, an image's included, without decoding the image.

    Args:
        question: The question.
        encoder: The tokenizer of a text model or the processor of a vision-language model.
        settings: How the question is put to the model.

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
    # vLLM uses this method of the processors too, but it is private, and some processors lack it.
    except (AttributeError, KeyError, TypeError, ValueError, NotImplementedError):
        return len(encode_prompt(question, encoder, settings).ids)


def require_room(question: Question, length: int, model: PreTrainedModel, max_new_tokens: int, model_name: str) -> None:
    """Refuse a prompt that leaves too little of the model's context for an answer.

    Args:
        question: The question.
        length: Number of tokens of its prompt.
        model: The model; models without ``max_position_embeddings`` have no limit.
        max_new_tokens: Length limit of an answer in tokens.
        model_name: Name of the model, for the message.

    Raises:
        QuestionError: If prompt and answer together may be longer than the context.
    """
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if context is not None and length + max_new_tokens > context:
        hint = "shorten the context" if question.image is None else "shorten the context or the image's size"
        raise QuestionError(
            question.id,
            f"expected at most {context} tokens, the context of {model_name}, got {length} of the prompt and up "
            f"to {max_new_tokens} of an answer: {hint} or lower max_new_tokens",
        )


def _counting_options(settings: PromptSettings) -> dict[str, Any]:
    # Qwen's processor takes its pixel bounds as `size` when it encodes, and by their old names when it counts.
    size = settings.image_options.get("size")
    if not isinstance(size, dict) or not {"shortest_edge", "longest_edge"} <= size.keys():
        return settings.image_options
    bounds = {"min_pixels": size["shortest_edge"], "max_pixels": size["longest_edge"]}
    return settings.image_options | bounds


def _encode_with_image(text: str, question: Question, encoder: TextEncoder, settings: PromptSettings) -> Prompt:
    processor: Any = encoder
    image = load_image(question, allow_urls=settings.allow_urls)
    special = _adds_special_tokens(text, encoder, settings)
    try:
        inputs = processor(
            text=[text], images=[image], return_tensors="pt", add_special_tokens=special, **settings.image_options
        )
    except (ValueError, TypeError, IndexError) as error:
        raise QuestionError(
            question.id, f"{type(encoder).__name__} refuses the prompt or its image: {error}"
        ) from error
    tables = {name: table for name, table in inputs.items() if name != "attention_mask"}
    per_token = [name for name, table in tables.items() if table.shape == inputs["input_ids"].shape]
    kinds = {name: tables.pop(name)[0].tolist() for name in per_token}
    if _closes_with_end_token(kinds["input_ids"], encoder, settings):
        kinds = {name: row[:-1] for name, row in kinds.items()}
    return Prompt(kinds.pop("input_ids"), kinds, tables)


def _token_ids(text: str, encoder: TextEncoder, settings: PromptSettings) -> list[int]:
    tokenizer = tokenizer_of(encoder)
    ids = list(tokenizer(text, add_special_tokens=_adds_special_tokens(text, encoder, settings))["input_ids"])
    return ids[:-1] if _closes_with_end_token(ids, encoder, settings) else ids


def _closes_with_end_token(ids: Sequence[int], encoder: TextEncoder, settings: PromptSettings) -> bool:
    """Whether the tokenizer added an end token, after which no model continues."""
    return not is_chat(encoder, settings) and list(ids[-1:]) == [tokenizer_of(encoder).eos_token_id]


def _adds_special_tokens(text: str, encoder: TextEncoder, settings: PromptSettings) -> bool:
    """Whether the tokenizer should add its special tokens around the text."""
    if not is_chat(encoder, settings):
        return True
    # The chat template of a tokenizer writes its special tokens itself; adding them would double them. The templates of
    # some processors, such as LLaVA's, leave the first one to the tokenizer. transformers uses the same test.
    bos = tokenizer_of(encoder).bos_token
    return takes_images(encoder) and not (bos and text.startswith(bos))
