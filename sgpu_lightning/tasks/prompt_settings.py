"""Settings and template of the prompt that puts a question to a model."""

from __future__ import annotations

import string
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from sgpu_lightning.errors import QuestionError, SamplingError
from sgpu_lightning.tasks.question import Question

PromptStyle = Literal["auto", "chat", "plain"]
PLAIN_TEMPLATE = "Q: {question}\nA:"
CHAT_TEMPLATE = "{question}"
_FIELDS = ("question", "context")


@dataclass(frozen=True, kw_only=True)
class PromptSettings:
    r"""Settings of the prompt that puts a question to a model.

    Args:
        style: ``chat`` uses the tokenizer's chat template, ``plain`` does not, ``auto`` uses it if there is one.
        template: The text around ``{question}`` and optionally ``{context}``. If the template has no ``{context}``, a
            context is put before it, separated by an empty line. None: ``"Q: {question}\nA:"`` in plain style and
            ``"{question}"`` in chat style.
        system: An instruction: the system message in chat style, the first paragraph in plain style. None: no
            instruction.
        chat_options: Further variables of the chat template, for example ``{"enable_thinking": False}``.
        image_options: Further arguments of the image processor, for example
            ``{"size": {"shortest_edge": 3136, "longest_edge": 1003520}}``, Qwen's bounds in pixels.
        allow_urls: Whether images given as URLs are downloaded; see `load_image`.

    Raises:
        SamplingError: If the style is unknown or the template is malformed; names what was expected and what was got.
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
        """The settings that determine prompts (all but ``allow_urls``), as JSON-ready keys and values."""
        return {name: value for name, value in asdict(self).items() if name != "allow_urls"}


def fill_template(template: str, question: Question) -> str:
    """Fill the template with a question. If the template has no ``{context}``, the context is put before it.

    Args:
        template: The text around ``{question}`` and optionally ``{context}``.
        question: The question.

    Raises:
        QuestionError: If the template needs a context and the question has none.
    """
    if "context" in _template_fields(template):
        if question.context is None:
            raise QuestionError(question.id, f"the template {template!r} needs a context, got none")
        return template.format(question=question.question, context=question.context)
    body = template.format(question=question.question)
    return body if question.context is None else f"{question.context}\n\n{body}"


def _template_fields(template: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]


def _check_template(template: str) -> None:
    expected = "expected text around {question} and optionally {context}, with literal braces doubled"
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
