"""From a question to the text a model is prompted with."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from sgpu_lightning.errors import QuestionError, SamplingError
from sgpu_lightning.tasks.question import Question

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, ProcessorMixin

    TextEncoder = PreTrainedTokenizerBase | ProcessorMixin

PromptStyle = Literal["auto", "chat", "plain"]
PLAIN_TEMPLATE = "Q: {question}\nA:"
CHAT_TEMPLATE = "{question}"
_FIELDS = ("question", "context")


@dataclass(frozen=True, kw_only=True)
class PromptSettings:
    r"""How a question is put to a model.

    Args:
        style: ``chat`` uses the tokenizer's chat template, ``plain`` does not, ``auto`` uses it where there is one.
        template: The text around ``{question}`` and, if wanted, ``{context}``. A context that the template does not
            place comes before it, with an empty line between. None: ``"Q: {question}\nA:"`` in plain style and
            ``"{question}"`` in chat style.
        system: An instruction: the system message in chat style, the first paragraph in plain style.
        chat_options: Further variables for the chat template, for example ``{"enable_thinking": False}``.
        image_options: Further arguments for the image processor, for example
            ``{"size": {"shortest_edge": 3136, "longest_edge": 1003520}}``, Qwen's bounds in pixels.
        allow_urls: Whether images that are addresses are fetched; see `load_image`.

    Raises:
        SamplingError: If the style is unknown or the template is misformatted, naming what was expected and got.
    """

    style: PromptStyle = "auto"
    template: str | None = None
    system: str | None = None
    chat_options: dict[str, Any] = field(default_factory=dict)
    image_options: dict[str, Any] = field(default_factory=dict)
    allow_urls: bool = False

    def __post_init__(self) -> None:
        if self.style not in get_args(PromptStyle):
            raise SamplingError(f"style: expected one of {', '.join(get_args(PromptStyle))}, got {self.style!r}")
        if self.template is not None:
            _check_template(self.template)

    def to_dict(self) -> dict[str, Any]:
        """What shapes prompts, as JSON-ready keys and values; where images may come from does not."""
        return {name: value for name, value in asdict(self).items() if name != "allow_urls"}


def tokenizer_of(encoder: TextEncoder) -> PreTrainedTokenizerBase:
    """The tokenizer of a processor; a tokenizer itself."""
    return cast("PreTrainedTokenizerBase", getattr(encoder, "tokenizer", encoder))


def build_prompt(question: Question, encoder: TextEncoder, settings: PromptSettings) -> str:
    """The prompt's text, up to where the answer begins. An image stands before the text, as its placeholder.

    Args:
        question: What is asked.
        encoder: A text model's tokenizer or a vision-language model's processor.
        settings: How it is asked.

    Raises:
        SamplingError: If chat style is asked for and there is no chat template, if the chat template refuses the
            messages, if the template needs a context and the question has none, or if the question has an image and
            the model takes none.
    """
    if question.image is not None and not sees_images(encoder):
        raise QuestionError(question.id, "expected text alone, got an image too: use a vision-language model")
    if is_chat(encoder, settings):
        text = _chat_prompt(question, encoder, settings)
    else:
        body = _fill(settings.template or PLAIN_TEMPLATE, question)
        body = body if settings.system is None else f"{settings.system}\n\n{body}"
        text = body if question.image is None else f"{_image_mark(encoder)}\n{body}"
    placeholder = getattr(encoder, "image_token", None)
    images = int(question.image is not None)
    if placeholder and (found := text.count(placeholder)) != images:
        hint = "the chat template leaves images out; try style 'plain'" if found < images else "take it out of the text"
        raise QuestionError(
            question.id, f"expected {images} image placeholder(s) {placeholder!r} in the prompt, got {found}: {hint}"
        )
    return text


def sees_images(encoder: TextEncoder) -> bool:
    """Whether this is a processor that takes images."""
    return hasattr(encoder, "image_processor")


def _image_mark(processor: TextEncoder) -> str:
    """What stands for an image where there is no chat template."""
    placeholder = getattr(processor, "image_token", None)
    if not placeholder:
        raise SamplingError(f"style: 'plain' needs a processor with an image token, got {type(processor).__name__}")
    # Qwen's, which its chat template writes.
    brackets = ("<|vision_start|>", "<|vision_end|>")
    vocabulary = tokenizer_of(processor).get_vocab()
    start, end = brackets if all(token in vocabulary for token in brackets) else ("", "")
    return f"{start}{placeholder}{end}"


def is_chat(encoder: TextEncoder, settings: PromptSettings) -> bool:
    """Whether the chat template is used.

    Raises:
        SamplingError: If it is asked for and there is none.
    """
    has_template = bool(getattr(encoder, "chat_template", None))
    if settings.style == "chat" and not has_template:
        raise SamplingError("style: 'chat' needs a tokenizer with a chat template, got one without: try 'plain'")
    return has_template if settings.style == "auto" else settings.style == "chat"


def _chat_prompt(question: Question, encoder: TextEncoder, settings: PromptSettings) -> str:
    from jinja2.exceptions import TemplateError

    body = _fill(settings.template or CHAT_TEMPLATE, question)
    if settings.system is not None:
        try:
            text = _render(encoder, [("system", settings.system), ("user", body)], question, settings)
        except TemplateError:
            text = ""
        if settings.system.strip() in text:
            return text
        # A template that refuses the system role, or passes over it.
        body = f"{settings.system}\n\n{body}"
    try:
        return _render(encoder, [("user", body)], question, settings)
    except TemplateError as error:
        raise SamplingError(f"the chat template refuses a user message: {error}; try style 'plain'") from error


def _render(
    encoder: TextEncoder, turns: Sequence[tuple[str, str]], question: Question, settings: PromptSettings
) -> str:
    messages: list[dict[str, Any]] = [{"role": role, "content": text} for role, text in turns]
    if sees_images(encoder):
        # Processors' templates take content in parts, with or without an image.
        for message in messages:
            message["content"] = [{"type": "text", "text": message["content"]}]
        if question.image is not None:
            messages[-1]["content"].insert(0, {"type": "image"})
    template: Any = encoder
    text = template.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **settings.chat_options)
    return str(text)


def chat_messages(question: Question, settings: PromptSettings) -> list[dict[str, str]]:
    """The prompt as messages, the last one the user's.

    Raises:
        SamplingError: If the template needs a context and the question has none.
    """
    messages = [{"role": "user", "content": _fill(settings.template or CHAT_TEMPLATE, question)}]
    if settings.system is not None:
        messages.insert(0, {"role": "system", "content": settings.system})
    return messages


def _fill(template: str, question: Question) -> str:
    if "context" in _template_fields(template):
        if question.context is None:
            raise QuestionError(question.id, f"the template {template!r} needs a context, got none")
        return template.format(question=question.question, context=question.context)
    body = template.format(question=question.question)
    return body if question.context is None else f"{question.context}\n\n{body}"


def _template_fields(template: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]


def _check_template(template: str) -> None:
    expected = "expected text around {question} and perhaps {context}, with literal braces doubled"
    try:
        names = _template_fields(template)
    except ValueError as error:
        raise SamplingError(f"template: {expected}, got {template!r}: {error}") from error
    unknown = [name for name in names if name not in _FIELDS]
    if unknown or "question" not in names:
        problem = f"the unknown field {{{unknown[0]}}}" if unknown else "no {question}"
        raise SamplingError(f"template: {expected}, got {template!r} with {problem}")
    try:
        template.format(question="", context="")
    except (ValueError, KeyError, IndexError) as error:
        raise SamplingError(f"template: {expected}, got {template!r}: {error}") from error
