"""When and how a request is asked again, and when the whole run gives up.

1. The openai client repeats a request after 408, 409, 429, 5xx, a time-out or a lost connection, and waits as the
   server's Retry-After asks (`ApiSettings.max_retries`).
2. `ask_until_usable` repeats a request whose reply contains no usable answer. Both kinds of repetition count towards
   ``max_retries``.
3. A request that still has no answer raises `RequestFailedError` and costs its question only, unless
   `concerns_every_request` finds that no question can be answered; the client then ends the run.
4. A run also ends when many questions fail before the first answer, whatever the sampler; see `sampling/run.py`.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from sgpu_lightning.sampling.server.reply import Reply
from sgpu_lightning.sampling.server.server_error import ServerError

REFUSED = (400, 422)  # HTTP statuses of a request that the server does not accept
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 8.0  # seconds, the same as in the openai client
# HTTP statuses that every request would get, and what the user should check.
_HINTS = {
    401: "the key in the environment variable {key_env}",
    403: "the key in the environment variable {key_env}, and whether it may use the model",
    404: "the name of the model, and the URL, which for most servers ends in /v1",
}


class RequestFailedError(Exception):
    """A request that got no answer. The message gives the reason in one line, without the key."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of sending a request and reading its reply.

    Args:
        reply: The reply; None if it contains no answer.
        problem: Why it contains no answer.
        repetitions: How often the openai client repeated the request.
    """

    reply: Reply | None
    problem: str
    repetitions: int


async def ask_until_usable(send: Callable[[int], Awaitable[Attempt]], max_retries: int) -> Reply:
    """Repeat a request until a reply contains an answer with text, or the retries are used up.

    An empty answer is mostly a fault of the server. If every attempt gives an empty answer, it is the model's answer.

    Args:
        send: Sends the request; its argument is the number of repetitions that the openai client may still make.
        max_retries: Number of repetitions of both kinds together at most.

    Returns:
        The reply, without its empty answers if it has others.

    Raises:
        RequestFailedError: If no attempt gave an answer.
    """
    left = max_retries
    empty: list[Reply] = []
    problem = ""
    while left >= 0:
        attempt = await send(left)
        problem = attempt.problem
        if attempt.reply is not None:
            if answers := tuple(answer for answer in attempt.reply.answers if answer.text):
                return Reply(answers, attempt.reply.served_model)
            empty.append(attempt.reply)
            problem = "the reply's text is empty"
        left -= attempt.repetitions + 1
        if left >= 0:
            await asyncio.sleep(_wait_seconds(max_retries - left - 1))
    if len(empty) > max_retries:
        return empty[-1]
    raise RequestFailedError(f"{problem}; asked {max_retries + 1} times")


def concerns_every_request(error: ServerError, names: Iterable[str] = ()) -> bool:
    """Whether the server would refuse every request: it is not there, or the key, the model or a setting is wrong.

    Args:
        error: Why a request failed.
        names: The names of the model and the settings. A refusal that contains one of them is about the settings, any
            other refusal is about the question.
    """
    if error.unreachable or error.status in _HINTS:
        return True
    return error.status in REFUSED and any(
        re.search(rf"(?<!\w){re.escape(name)}(?!\w)", error.message) for name in names
    )


def what_to_check(error: ServerError, key_env: str) -> str:
    """What the user should check, as the end of a message; empty if nothing is known.

    Args:
        error: Why a request failed.
        key_env: The environment variable that holds the key.
    """
    hint = _HINTS.get(error.status)
    return f"; check {hint.format(key_env=key_env)}" if hint else ""


def _wait_seconds(attempt: int) -> float:
    """Seconds to wait before another attempt, randomised so that many requests do not arrive at the same time."""
    return float(min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT) * (1 - 0.25 * random.random()))
