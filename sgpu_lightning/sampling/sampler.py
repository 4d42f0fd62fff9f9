"""What every sampler offers, whatever stands behind it: a local model or a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sgpu_lightning.sampling.recording.hooks import TokenRule
from sgpu_lightning.sampling.sampled_answers import Sampled
from sgpu_lightning.tasks.question import Question


@dataclass(frozen=True, slots=True)
class Failed:
    """A question that got no answers this time; a later run asks it again.

    Args:
        question: The question.
        reason: Why, in one line.
    """

    question: Question
    reason: str


Outcome = Sampled | Failed


class Sampler(Protocol):
    """Asks a model: N sampled answers and the greedy one for every question."""

    model_name: str
    revision: str | None

    @property
    def layers(self) -> tuple[int, ...]:
        """The decoder blocks that are recorded, from 0; empty where none are."""
        ...

    @property
    def num_layers(self) -> int:
        """How many decoder blocks the model has; 0 where that is not known."""
        ...

    @property
    def token(self) -> TokenRule:
        """Which of an answer's tokens are recorded."""
        ...

    def answer(self, questions: Sequence[Question]) -> Iterator[Outcome]:
        """Ask the questions, as many at a time as suits; outcomes come in any order, one for each question."""
        ...

    def describe(self) -> dict[str, Any]:
        """Who is asked and how, as JSON-ready keys and values, for the store's manifest."""
        ...
