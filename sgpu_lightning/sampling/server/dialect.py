"""What a server takes: found out by asking for all, and giving way where it refuses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Dialect:
    """How requests are worded for one server.

    Args:
        several: Whether ``n`` may ask for several answers at once.
        logprobs: Whether log-probabilities are asked for.
        limit_key: What the length limit is called: vendors have renamed ``max_tokens``, others know no other name.
    """

    several: bool = True
    logprobs: bool = True
    limit_key: str = "max_tokens"

    def word(self, body: dict[str, Any]) -> dict[str, Any]:
        """The request in this dialect.

        Args:
            body: With ``max_tokens``, and ``n`` where several answers are asked for.
        """
        worded = {key: value for key, value in body.items() if key not in ("n", "max_tokens")}
        worded[self.limit_key] = body["max_tokens"]
        if self.several and body.get("n", 1) > 1:
            worded["n"] = body["n"]
        if self.logprobs:
            worded["logprobs"] = True
        return worded

    def split(self, count: int) -> list[int]:
        """How many answers to ask for in each of several requests, to get ``count`` in all."""
        return [count] if self.several else [1] * count

    def give_way(self, sent: dict[str, Any], complaint: str) -> Dialect | None:
        """A plainer dialect to try after a refusal; None where nothing is left to give up.

        Args:
            sent: The request that was refused.
            complaint: What the server said.
        """
        complaint = complaint.lower()
        if "max_completion_tokens" in complaint and "max_tokens" in sent:
            return replace(self, limit_key="max_completion_tokens")
        if "logprobs" in sent and ("logprob" in complaint or "n" not in sent):
            return replace(self, logprobs=False)
        return replace(self, several=False) if "n" in sent else None

    def meet(self, other: Dialect) -> Dialect:
        """What servers of both dialects take."""
        renamed = "max_completion_tokens" in (self.limit_key, other.limit_key)
        return Dialect(
            several=self.several and other.several,
            logprobs=self.logprobs and other.logprobs,
            limit_key="max_completion_tokens" if renamed else "max_tokens",
        )
