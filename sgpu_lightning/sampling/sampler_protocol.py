"""The interface of every sampler, whether a local model or a server answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol

from sgpu_lightning.sampling.outcome import Outcome
from sgpu_lightning.tasks.question import Question

TokenRule = Literal["last", "mean"]


class Sampler(Protocol):
    """Asks a model for N sampled answers and the greedy answer to each question."""

    model_name: str
    revision: str | None

    @property
    def layers(self) -> tuple[int, ...]:
        """The recorded decoder blocks, counted from 0; empty if none are recorded."""
        ...

    @property
    def num_layers(self) -> int:
        """The model's number of decoder blocks; 0 if unknown."""
        ...

    @property
    def token(self) -> TokenRule:
        """Which hidden state is recorded: that of an answer's last token, or the mean over its tokens."""
        ...

    def answer(self, questions: Sequence[Question]) -> Iterator[Outcome]:
        """Ask the questions, several at a time, and yield one outcome for each, in any order."""
        ...

    def describe(self) -> dict[str, Any]:
        """The model and the settings as JSON-ready keys and values, for the store's manifest."""
        ...
