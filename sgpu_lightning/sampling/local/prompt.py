"""The prompt text of a question for a local model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from sgpu_lightning.errors import QuestionError, SamplingError
from sgpu_lightning.tasks.prompt_settings import CHAT_TEMPLATE, PLAIN_TEMPLATE, PromptSettings, fill_template
from sgpu_lightning.tasks.question import Question

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, ProcessorMixin

    TextEncoder = PreTrainedTokenizerBase | ProcessorMixin


def tokenizer_of(encoder: TextEncoder) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a processor, or a tokenizer itself."""
    return cast("PreTrainedTokenizerBase", getattr(encoder, "tokenizer", encoder))


def build_prompt(question: Question, encoder: TextEncoder, settings: PromptSettings) -> str:
    """Build the prompt's text, which ends where the answer begins. An image's placeholder comes before the text.

    Args:
        question: The question.
        encoder: The tokenizer of a text model or the processor of a vision-language model.
        settings: How the question is put to the model.

    Raises:
        SamplingError: If chat style is asked for and there is no chat template, if the chat template refuses the
            messages, if the template needs a context and the question has none, or if the question has an image and
            the model takes none.
    """
    if question.image is not None and not takes_images(encoder):
        raise QuestionError(question.id, "expected text alone, got an image too: use a vision-language model")
    if is_chat(encoder, settings):
        text = _chat_prompt(question, encoder, settings)
    else:
        body = fill_template(settings.template or PLAIN_TEMPLATE, question)
        body = body if settings.system is None else f"{settings.system}\n\n{body}"
        text = body if question.image is None else f"{_image_placeholder(encoder)}\n{body}"
    _check_placeholders(text, question, encoder)
    return text


def takes_images(encoder: TextEncoder) -> bool:
    """Whether this is a processor with an image processor."""
    return hasattr(encoder, "image_processor")


def is_chat(encoder: TextEncoder, settings: PromptSettings) -> bool:
    """Whether the chat template is used.

    Args:
        encoder: The tokenizer or processor, which may have a chat template.
        settings: The style: ``chat``, ``plain``, or ``auto``, which uses the chat template if there is one.

    Raises:
        SamplingError: If chat style is asked for and there is no chat template.
    """
    has_template = bool(getattr(encoder, "chat_template", None))
    if settings.style == "chat" and not has_template:
        raise SamplingError("style: 'chat' needs a tokenizer with a chat template, got one without: try 'plain'")
    return has_template if settings.style == "auto" else settings.style == "chat"


def _check_placeholders(text: str, question: Question, encoder: TextEncoder) -> None:
    placeholder = getattr(encoder, "image_token", None)
    images = int(question.image is not None)
    if placeholder and (found := text.count(placeholder)) != images:
        hint = "the chat template leaves images out; try style 'plain'" if found < images else "take it out of the text"
        raise QuestionError(
            question.id, f"expected {images} image placeholder(s) {placeholder!r} in the prompt, got {found}: {hint}"
        )


def _image_placeholder(processor: TextEncoder) -> str:
    """The text that represents an image in a prompt without a chat template."""
    placeholder = getattr(processor, "image_token", None)
    if not placeholder:
        raise SamplingError(f"style: 'plain' needs a processor with an image token, got {type(processor).__name__}")
    # The chat template of Qwen's models writes these around the placeholder.
    brackets = ("<|vision_start|>", "<|vision_end|>")
    vocabulary = tokenizer_of(processor).get_vocab()
    start, end = brackets if all(token in vocabulary for token in brackets) else ("", "")
    return f"{start}{placeholder}{end}"


def _chat_prompt(question: Question, encoder: TextEncoder, settings: PromptSettings) -> str:
    from jinja2.exceptions import TemplateError

    body = fill_template(settings.template or CHAT_TEMPLATE, question)
    if settings.system is not None:
        try:
            text = _render(encoder, [("system", settings.system), ("user", body)], question, settings)
        except TemplateError:
            text = ""
        if settings.system.strip() in text:
            return text
        # The template refuses the system role or ignores it.
        body = f"{settings.system}\n\n{body}"
    try:
        return _render(encoder, [("user", body)], question, settings)
    except TemplateError as error:
        raise SamplingError(f"the chat template refuses a user message: {error}; try style 'plain'") from error


def _render(
    encoder: TextEncoder, turns: Sequence[tuple[str, str]], question: Question, settings: PromptSettings
) -> str:
    messages: list[dict[str, Any]] = [{"role": role, "content": text} for role, text in turns]
    if takes_images(encoder):
        # The templates of processors take content in parts, with or without an image.
        for message in messages:
            message["content"] = [{"type": "text", "text": message["content"]}]
        if question.image is not None:
            messages[-1]["content"].insert(0, {"type": "image"})
    template: Any = encoder
    text = template.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **settings.chat_options)
    return str(text)
