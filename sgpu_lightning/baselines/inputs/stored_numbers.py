"""Numbers of the answering model that records hold: log-probabilities, token counts, token entropies and P(True)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sgpu_lightning.answers.record import AnswerSet


@dataclass(frozen=True, kw_only=True)
class StoredNumbers:
    """Numbers of the answering model, float64; NaN if a record lacks them.

    Args:
        logprobs: Summed log-probability of each answer in nats, [B, N].
        answer_tokens: Number of tokens of each answer, over which its log-probability is summed, [B, N].
        scored_logprob: Summed log-probability of the scored answer, [B].
        scored_tokens: Number of tokens of the scored answer, [B].
        token_entropies: Mean entropy of the model's distribution over the scored answer's tokens, [B].
        p_true: Probability that the model itself gives to its scored answer being true, [B].
    """

    logprobs: Tensor
    answer_tokens: Tensor
    scored_logprob: Tensor
    scored_tokens: Tensor
    token_entropies: Tensor
    p_true: Tensor

    @classmethod
    def of(cls, records: Sequence[AnswerSet], scored_index: Sequence[int | None]) -> StoredNumbers:
        """Read ``logprobs`` and ``meta`` of the records; a number of the wrong type or range counts as missing.

        Args:
            records: The B answer sets.
            scored_index: Index of each set's scored answer; None if the greedy answer is scored.
        """
        longest = max(len(record.answers) for record in records)
        logprobs = [_padded(record.logprobs, len(record.answers), longest) for record in records]
        tokens = [
            _padded(record.meta.get("answer_tokens"), len(record.answers), longest, above=0) for record in records
        ]
        scored = [_scored(record, index) for record, index in zip(records, scored_index, strict=True)]
        return cls(
            logprobs=torch.tensor(logprobs, dtype=torch.float64),
            answer_tokens=torch.tensor(tokens, dtype=torch.float64),
            scored_logprob=_column(pair[0] for pair in scored),
            scored_tokens=_column(pair[1] for pair in scored),
            token_entropies=_column(_mean(record.meta.get("token_entropies")) for record in records),
            p_true=_column(_probability(record.meta.get("p_true")) for record in records),
        )

    def available(self, need: str) -> Tensor:
        """Whether each record has this kind of numbers, bool [B]."""
        value: Tensor = getattr(self, need)
        known = ~torch.isnan(value if value.ndim == 1 else value[:, 0])
        return known & ~torch.isnan(self.scored_tokens) if need == "scored_logprob" else known

    def take(self, rows: Tensor, count: int) -> StoredNumbers:
        """Numbers of some of the sets.

        Args:
            rows: Indices of the sets, int64 [b].
            count: Number of answers in each of them.
        """
        return StoredNumbers(
            logprobs=self.logprobs[rows, :count],
            answer_tokens=self.answer_tokens[rows, :count],
            scored_logprob=self.scored_logprob[rows],
            scored_tokens=self.scored_tokens[rows],
            token_entropies=self.token_entropies[rows],
            p_true=self.p_true[rows],
        )

    @property
    def mean_logprobs(self) -> Tensor:
        """Length-normalised log-probability of each answer: the mean over its tokens, [B, N]."""
        return self.logprobs / self.answer_tokens


def _column(values: Iterable[float]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64)


def _number(value: Any, above: float = -math.inf) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > above
    return float(value) if known else math.nan


def _padded(values: Any, count: int, longest: int, above: float = -math.inf) -> list[float]:
    numbers = [_number(value, above) for value in values] if isinstance(values, list | tuple) else []
    if len(numbers) != count or any(map(math.isnan, numbers)):
        return [math.nan] * longest
    return numbers + [math.nan] * (longest - count)


def _scored(record: AnswerSet, index: int | None) -> tuple[float, float]:
    if index is None:
        return _number(record.meta.get("greedy_logprob")), _number(record.meta.get("greedy_tokens"), above=0)
    tokens = _padded(record.meta.get("answer_tokens"), len(record.answers), len(record.answers), above=0)
    return (math.nan if record.logprobs is None else record.logprobs[index]), tokens[index]


def _mean(values: Any) -> float:
    numbers = [_number(value) for value in values] if isinstance(values, list | tuple) else []
    return sum(numbers) / len(numbers) if numbers else math.nan


def _probability(value: Any) -> float:
    number = _number(value)
    return number if 0 <= number <= 1 else math.nan
