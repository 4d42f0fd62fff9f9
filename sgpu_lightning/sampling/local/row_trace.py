"""The record of generation: each row's tokens, log-probability and end."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class RowTrace:
    """Keeps, for each row, the answer's tokens, their summed log-probability and whether the answer has ended.

    Args:
        rows: Number of rows.
        limit: Length limit of an answer in tokens. Tokens beyond it are ignored.
        eos_ids: The tokens that end an answer; may be empty.
    """

    def __init__(self, rows: int, limit: int, eos_ids: Sequence[int]) -> None:
        self._limit = limit
        self._eos_ids = torch.tensor(list(eos_ids), dtype=torch.long)
        self._tokens: list[Tensor] = []
        self._finished = torch.zeros(rows, dtype=torch.bool)
        self._logprobs = torch.zeros(rows, dtype=torch.float64)
        self._lengths = torch.zeros(rows, dtype=torch.long)
        self._scored = torch.zeros(rows, dtype=torch.long)

    def add(self, tokens: Tensor, logprobs: Tensor) -> Tensor:
        """Add the tokens of one step.

        Args:
            tokens: The selected token of each row, [rows].
            logprobs: Their log-probabilities in nats, [rows], float64.

        Returns:
            Bool, [rows]: True if the token is part of the row's answer. It is not if the row had already ended, if it
            is an end token, or if it lies beyond the length limit.
        """
        self._move_to(tokens.device)
        counts = ~self._finished
        if len(self._tokens) >= self._limit:
            counts = torch.zeros_like(counts)
        ends = torch.isin(tokens, self._eos_ids)
        active = counts & ~ends
        self._logprobs += torch.where(counts, logprobs, torch.zeros_like(logprobs))
        self._scored += counts
        self._lengths += active
        self._finished |= counts & ends
        self._tokens.append(tokens)
        return active

    def answer_tokens(self) -> list[list[int]]:
        """The token ids of each row's answer, without the end token."""
        table = torch.stack(self._tokens, dim=1).tolist()
        return [row[:length] for row, length in zip(table, self._lengths.tolist(), strict=True)]

    def logprobs(self) -> list[float]:
        """The summed log-probability of each row's answer in nats, [rows].

        Log-probabilities come from the model's own scores at temperature 1, without top-k and top-p, after the
        processing that the model's generation config asks for. The end token is included, because it distinguishes
        this answer from a longer one. An answer cut off at the length limit has no end token.
        """
        return [float(value) for value in self._logprobs.tolist()]

    def scored_tokens(self) -> list[int]:
        """The number of tokens that each row's log-probability is summed over, [rows]."""
        return [int(value) for value in self._scored.tolist()]

    def cut(self) -> list[bool]:
        """Whether each row's answer was cut off at the length limit, [rows]."""
        return [not value for value in self._finished.tolist()]

    def _move_to(self, device: torch.device) -> None:
        for name in ("_eos_ids", "_finished", "_logprobs", "_lengths", "_scored"):
            setattr(self, name, getattr(self, name).to(device))
