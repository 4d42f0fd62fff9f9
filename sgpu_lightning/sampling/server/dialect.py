"""The dialects of servers: how they differ from OpenAI's protocol, and how a server's dialect is found out.

A request first asks for everything. If the server refuses it, the first entry of `FALLBACKS` that fits the complaint is
taken, and the request is sent again in the simpler form. To support another dialect, add an entry to `FALLBACKS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sgpu_lightning.sampling.server.server_settings import ApiSettings

Request = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fallback:
    """A simpler form of a request, for servers that refuse the usual one.

    Args:
        name: Identifies the fallback.
        applies: Given the refused request and the server's complaint in lower case: whether the fallback may help.
        rewrite: Gives the request in the simpler form. Requests that do not use the refused feature stay the same.
    """

    name: str
    applies: Callable[[Request, str], bool]
    rewrite: Callable[[Request], Request]


def _rename_limit(request: Request) -> Request:
    return {("max_completion_tokens" if key == "max_tokens" else key): value for key, value in request.items()}


def _without(key: str) -> Callable[[Request], Request]:
    return lambda request: {name: value for name, value in request.items() if name != key}


# Vendors have renamed the length limit; other servers know only the old name.
RENAMED_LIMIT = Fallback(
    "renamed limit",
    lambda request, complaint: "max_completion_tokens" in complaint and "max_tokens" in request,
    _rename_limit,
)
NO_LOGPROBS = Fallback(
    "no log-probabilities",
    lambda request, complaint: "logprobs" in request and ("logprob" in complaint or "n" not in request),
    _without("logprobs"),
)
ONE_ANSWER = Fallback("one answer per request", lambda request, complaint: "n" in request, _without("n"))
FALLBACKS = (RENAMED_LIMIT, NO_LOGPROBS, ONE_ANSWER)  # in the order in which they are tried


@dataclass(frozen=True, slots=True)
class Dialect:
    """The form in which one server accepts requests.

    Args:
        taken: The fallbacks that are in use.
    """

    taken: frozenset[Fallback] = frozenset()

    @classmethod
    def from_settings(cls, settings: ApiSettings) -> Dialect:
        """The dialect to start with: fallbacks the user asks for are in use from the beginning."""
        asked = {ONE_ANSWER: settings.one_each, NO_LOGPROBS: not settings.logprobs}
        return cls(frozenset(fallback for fallback, wanted in asked.items() if wanted))

    @property
    def several(self) -> bool:
        """Whether one request may ask for several answers."""
        return ONE_ANSWER not in self.taken

    def to_request(self, body: Request) -> Request:
        """Write a request in this dialect.

        Args:
            body: The request, with ``max_tokens``, and ``n`` if several answers are wanted.
        """
        request = {key: value for key, value in body.items() if key != "n" or value > 1} | {"logprobs": True}
        for fallback in FALLBACKS:
            if fallback in self.taken:
                request = fallback.rewrite(request)
        return request

    def split(self, count: int) -> list[int]:
        """Divide ``count`` answers among requests: the number of answers to ask for in each."""
        return [count] if self.several else [1] * count

    def fallback(self, sent: Request, complaint: str) -> Dialect | None:
        """The simpler dialect to try after a refusal; None if no fallback applies.

        Args:
            sent: The request that was refused.
            complaint: The server's message.
        """
        for fallback in FALLBACKS:
            if fallback.applies(sent, complaint.lower()):
                return Dialect(self.taken | {fallback})
        return None

    def merge(self, other: Dialect) -> Dialect:
        """The dialect that servers of both dialects accept."""
        return Dialect(self.taken | other.taken)


class DialectTracker:
    """Keeps what has been learnt about one server's dialect.

    Args:
        settings: How the server is asked.
    """

    def __init__(self, settings: ApiSettings) -> None:
        self.current = Dialect.from_settings(settings)
        self._replies_with_several = 0
        self._replies_with_one = 0

    def accept(self, dialect: Dialect) -> None:
        """Note that the server accepted a request in this dialect."""
        self.current = self.current.merge(dialect)

    def note_answers(self, asked: int, received: int) -> None:
        """Learn whether the server ignores ``n``, after two replies, since a single one may lose answers by chance.

        Args:
            asked: Number of answers the request asked for.
            received: Number of answers in the reply.
        """
        if asked > 1 and self.current.several:
            self._replies_with_several += received > 1
            self._replies_with_one += received == 1
            if self._replies_with_one > 1 and not self._replies_with_several:
                self.accept(Dialect(frozenset({ONE_ANSWER})))
