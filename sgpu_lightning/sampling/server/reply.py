"""Reading a chat completion: strict about what answers are made of, tolerant of everything else."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any


class UnusableReplyError(Exception):
    """A reply that contains no answer; asking again may help."""


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """One answer of a reply.

    Args:
        text: The answer without surrounding white space.
        cut: Whether it reached the length limit.
        logprob: Its summed log-probability in nats; None if the server gives none.
        tokens: The number of tokens ``logprob`` is summed over. Without log-probabilities, the answer's number of
            tokens if the server reports it.
    """

    text: str
    cut: bool
    logprob: float | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to one request.

    Args:
        answers: The answers, at least one.
        served_model: The model that answered, as the server reports.
    """

    answers: tuple[ServerAnswer, ...]
    served_model: str | None


def read_reply(data: Any) -> Reply:
    """Read the answers of a chat completion.

    Args:
        data: The decoded JSON.

    Raises:
        UnusableReplyError: If it contains no answer; the message says what it contains.
    """
    if not isinstance(data, dict):
        raise UnusableReplyError(f"expected a chat completion, got {type(data).__name__}")
    if data.get("error"):
        raise UnusableReplyError(f"the server reports {data['error']!r}")
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices:
        raise UnusableReplyError("the reply has no choices")
    answers = tuple(answer for choice in choices if (answer := _read_choice(choice)) is not None)
    if not answers:
        ends = sorted({str(choice.get("finish_reason")) for choice in choices if isinstance(choice, dict)})
        raise UnusableReplyError(f"the reply's choices have no text (finish_reason {', '.join(ends) or 'missing'})")
    usage = data.get("usage")
    if len(choices) == 1 and answers[0].tokens is None and isinstance(usage, dict):
        tokens = usage.get("completion_tokens")
        answers = (replace(answers[0], tokens=tokens if isinstance(tokens, int) else None),)
    served = data.get("model")
    return Reply(answers, served if isinstance(served, str) else None)


def _read_choice(choice: Any) -> ServerAnswer | None:
    """Read one entry of ``choices``; None if it has no text."""
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return None
    # A refusal is an answer of the model, too.
    text = message.get("content") if message.get("content") is not None else message.get("refusal")
    end = choice.get("finish_reason")
    if not isinstance(text, str) or (not text.strip() and end != "stop"):
        return None
    logprob, tokens = _sum_logprobs(choice.get("logprobs"))
    return ServerAnswer(_replace_surrogates(text).strip(), end == "length", logprob, tokens)


def _sum_logprobs(logprobs: Any) -> tuple[float | None, int | None]:
    """The summed log-probability and the number of tokens; None for both if one token has no finite number."""
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list) or not content:
        return None, None
    given = [token.get("logprob") if isinstance(token, dict) else None for token in content]
    values = [float(value) for value in given if isinstance(value, int | float) and math.isfinite(value)]
    return (math.fsum(values), len(values)) if len(values) == len(content) else (None, None)


def _replace_surrogates(text: str) -> str:
    """Replace unpaired surrogates, which JSON can express but UTF-8 files cannot hold."""
    return text.encode("utf-8", "replace").decode()
