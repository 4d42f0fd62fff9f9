"""Counting the replies and tokens of a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Usage:
    """Replies and tokens so far, those of discarded replies included.

    Args:
        replies: Number of replies of the server.
        input_tokens: Tokens the server read, as it reports.
        output_tokens: Tokens the server wrote, as it reports.
        uncounted: Number of replies without token counts.
    """

    replies: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    uncounted: int = 0

    def add(self, data: Any) -> None:
        """Count one reply.

        Args:
            data: The reply's decoded JSON.
        """
        self.replies += 1
        usage = data.get("usage") if isinstance(data, dict) else None
        counts = [usage.get(key) if isinstance(usage, dict) else None for key in ("prompt_tokens", "completion_tokens")]
        if not all(isinstance(count, int) for count in counts):
            self.uncounted += 1
            return
        self.input_tokens += counts[0] or 0
        self.output_tokens += counts[1] or 0

    def summary(self, input_price: float | None = None, output_price: float | None = None) -> str:
        """Describe the usage, and its cost if both prices are given.

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
