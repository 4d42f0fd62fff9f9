"""Reading a chat completion: strictly what answers are made of, nothing of what servers differ in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


class UnusableReplyError(Exception):
    """A reply without an answer in it; asking again may help."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer of a reply.

    Args:
        text: Without white space around it.
        cut: Whether it met the length limit.
        logprob: Its summed log-probability in nats; None where the server offers none.
        tokens: How many tokens ``logprob`` is summed over; without it, the answer's tokens where they are told.
    """

    text: str
    cut: bool
    logprob: float | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request gave.

    Args:
        choices: At least one.
        served_model: Who the server says has answered.
    """

    choices: tuple[Choice, ...]
    served_model: str | None


@dataclass(slots=True)
class Usage:
    """What was sent and got so far, answers that were thrown away included.

    Args:
        replies: Replies of the server.
        input_tokens: Tokens it read, as it says.
        output_tokens: Tokens it wrote, as it says.
        uncounted: Replies that did not say.
    """

    replies: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    uncounted: int = 0

    def add(self, data: Any) -> None:
        """Count one decoded reply."""
        self.replies += 1
        usage = data.get("usage") if isinstance(data, dict) else None
        counts = [usage.get(key) if isinstance(usage, dict) else None for key in ("prompt_tokens", "completion_tokens")]
        if not all(isinstance(count, int) for count in counts):
            self.uncounted += 1
            return
        self.input_tokens += counts[0] or 0
        self.output_tokens += counts[1] or 0

    def summary(self, input_price: float | None = None, output_price: float | None = None) -> str:
        """In words.

        Args:
            input_price: Price of a million tokens read.
            output_price: Price of a million tokens written.
        """
        text = f"{self.replies:,} replies, {self.input_tokens:,} tokens read and {self.output_tokens:,} written"
        if self.uncounted:
            text += f" ({self.uncounted:,} replies gave no count)"
        if input_price is not None and output_price is not None:
            cost = (self.input_tokens * input_price + self.output_tokens * output_price) / 1e6
            text += f", cost {cost:,.4f}"
        return text


def read_reply(data: Any) -> Reply:
    """The answers of a decoded chat completion.

    Args:
        data: The decoded JSON.

    Raises:
        UnusableReplyError: If there is no answer in it, saying what is there.
    """
    if not isinstance(data, dict):
        raise UnusableReplyError(f"expected a chat completion, got {type(data).__name__}")
    if data.get("error"):
        raise UnusableReplyError(f"the server reports {data['error']!r}")
    found = data.get("choices")
    if not isinstance(found, list) or not found:
        raise UnusableReplyError("the reply has no choices")
    choices = tuple(choice for item in found if (choice := _read_choice(item)) is not None)
    if not choices:
        ends = sorted({str(item.get("finish_reason")) for item in found if isinstance(item, dict)})
        raise UnusableReplyError(f"the reply's choices have no text (finish_reason {', '.join(ends) or 'missing'})")
    usage = data.get("usage")
    if len(found) == 1 and choices[0].tokens is None and isinstance(usage, dict):
        choices = (_with_tokens(choices[0], usage.get("completion_tokens")),)
    served = data.get("model")
    return Reply(choices, served if isinstance(served, str) else None)


def _read_choice(item: Any) -> Choice | None:
    """One choice, or None where it has no text."""
    message = item.get("message") if isinstance(item, dict) else None
    if not isinstance(message, dict):
        return None
    # A refusal is what the model said.
    text = message.get("content") if message.get("content") is not None else message.get("refusal")
    end = item.get("finish_reason")
    if not isinstance(text, str) or (not text.strip() and end != "stop"):
        return None
    logprob, tokens = _sum_logprobs(item.get("logprobs"))
    return Choice(_valid(text).strip(), end == "length", logprob, tokens)


def _sum_logprobs(found: Any) -> tuple[float | None, int | None]:
    content = found.get("content") if isinstance(found, dict) else None
    if not isinstance(content, list) or not content:
        return None, None
    found_values = [token.get("logprob") if isinstance(token, dict) else None for token in content]
    values = [float(value) for value in found_values if isinstance(value, int | float) and math.isfinite(value)]
    return (math.fsum(values), len(values)) if len(values) == len(content) else (None, None)


def _with_tokens(choice: Choice, tokens: Any) -> Choice:
    return Choice(choice.text, choice.cut, choice.logprob, tokens if isinstance(tokens, int) else None)


def _valid(text: str) -> str:
    """Without half characters, which JSON can spell and no file takes."""
    return text.encode("utf-8", "replace").decode()
