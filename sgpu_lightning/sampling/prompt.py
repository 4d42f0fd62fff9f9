"""From a question to the tokens a model is prompted with."""

from __future__ import annotations

import string
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from sgpu_lightning.errors import SamplingError
from sgpu_lightning.tasks.question import Question

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

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

    Raises:
        SamplingError: If the style is unknown or the template is misformatted, naming what was expected and got.
    """

    style: PromptStyle = "auto"
    template: str | None = None
    system: str | None = None
    chat_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.style not in get_args(PromptStyle):
            raise SamplingError(f"style: expected one of {', '.join(get_args(PromptStyle))}, got {self.style!r}")
        if self.template is not None:
            _check_template(self.template)

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON-ready keys and values."""
        return asdict(self)


def build_prompt(question: Question, tokenizer: PreTrainedTokenizerBase, settings: PromptSettings) -> str:
    """The prompt's text, up to where the answer begins.

    Raises:
        SamplingError: If chat style is asked for and the tokenizer has no chat template, if the chat template refuses
            the messages, or if the template needs a context and the question has none.
    """
    if not _is_chat(tokenizer, settings):
        body = _fill(settings.template or PLAIN_TEMPLATE, question)
        return body if settings.system is None else f"{settings.system}\n\n{body}"
    from jinja2.exceptions import TemplateError

    messages = chat_messages(question, settings)
    try:
        text = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, **settings.chat_options
        )
    except TemplateError as error:
        roles = " and ".join(message["role"] for message in messages)
        raise SamplingError(
            f"the tokenizer's chat template refuses {roles} messages: {error}; try style 'plain'"
        ) from error
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


def encode_prompt(question: Question, tokenizer: PreTrainedTokenizerBase, settings: PromptSettings) -> list[int]:
    """The prompt's token ids, without padding.

    Raises:
        SamplingError: As `build_prompt`, and if the prompt has no token.
    """
    text = build_prompt(question, tokenizer, settings)
    # A chat template writes its own special tokens: the tokenizer's would double the first.
    chat = _is_chat(tokenizer, settings)
    ids = list(tokenizer(text, add_special_tokens=not chat)["input_ids"])
    # Some tokenizers close every text with the end token, after which no model goes on.
    if not chat and ids and ids[-1] == tokenizer.eos_token_id:
        ids.pop()
    if not ids:
        raise SamplingError(f"question '{question.id}': expected a prompt of at least one token, got an empty one")
    return ids


def _is_chat(tokenizer: PreTrainedTokenizerBase, settings: PromptSettings) -> bool:
    if settings.style != "auto":
        if settings.style == "chat" and not tokenizer.chat_template:
            raise SamplingError("style: 'chat' needs a tokenizer with a chat template, got one without: try 'plain'")
        return settings.style == "chat"
    return bool(tokenizer.chat_template)


def _fill(template: str, question: Question) -> str:
    if "context" in _template_fields(template):
        if question.context is None:
            raise SamplingError(f"question '{question.id}': the template {template!r} needs a context, got none")
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
