"""Registry of the unsupervised scores: the inputs, sign and range of each, and their values for many answer sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from sgpu_lightning.baselines.inputs.score_inputs import ScoreInputs
from sgpu_lightning.baselines.inputs.score_needs import REASONS, Need
from sgpu_lightning.baselines.inputs.set_group import SetGroup
from sgpu_lightning.errors import SGPUError

Function = Callable[[SetGroup], Tensor]


class ScoreError(SGPUError):
    """A score is unknown, or its name is taken."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One unsupervised score of an answer set.

    Args:
        name: Name of the score, unique in the registry.
        family: Name of the file that defines it.
        definition: The raw quantity, in one sentence.
        source: The publication or package that defines it.
        sign: 1 if a higher raw quantity means more confidence, -1 if it means more uncertainty.
        low: Least raw value, in words; n is the number of answers.
        high: Greatest raw value, in words.
        needs: Inputs it is computed from, apart from the answers' texts.
        function: Computes the raw quantity of each set of a group, float64 [b].
    """

    name: str
    family: str
    definition: str
    source: str
    sign: Literal[1, -1]
    low: str
    high: str
    needs: tuple[Need, ...]
    function: Function = field(repr=False, compare=False)

    def raw(self, inputs: ScoreInputs) -> Tensor:
        """Raw quantity of each set, float64 [B]; NaN for sets that lack an input."""
        values = torch.full((len(inputs),), torch.nan, dtype=torch.float64)
        for group in inputs.groups:
            if group.has.issuperset(self.needs):
                values[group.rows] = self.function(group) + 0.0  # -0.0 becomes 0.0
        return values

    def confidence(self, inputs: ScoreInputs) -> Tensor:
        """Score of each set, higher = more confident, float64 [B]; NaN for sets that lack an input."""
        return self.sign * self.raw(inputs) + 0.0

    def lacking(self, inputs: ScoreInputs) -> dict[str, int]:
        """Number of sets that are left out, by reason; a set with several reasons counts for the first."""
        reasons: Counter[str] = Counter()
        for group in inputs.groups:
            missing = [need for need in self.needs if need not in group.has]
            if missing:
                reasons[REASONS[missing[0]]] += len(group)
        return dict(reasons)


SCORES: dict[str, Score] = {}


def register(
    name: str,
    *,
    sign: Literal[1, -1],
    low: str,
    high: str,
    source: str,
    needs: tuple[Need, ...] = (),
    definition: str | None = None,
) -> Callable[[Function], Function]:
    """Register a function of a group as a score; its family is the name of its module.

    Args:
        name: Name of the score.
        sign: 1 if a higher raw quantity means more confidence, -1 if it means more uncertainty.
        low: Least raw value, in words; n is the number of answers.
        high: Greatest raw value, in words.
        source: The publication or package that defines it.
        needs: Inputs it is computed from, apart from the answers' texts.
        definition: The raw quantity, in one sentence; None takes the first line of the function's docstring.

    Raises:
        ScoreError: If the name is registered already.
    """

    def add(function: Function) -> Function:
        """Register the function and return it unchanged."""
        if name in SCORES:
            raise ScoreError(f"score '{name}' is registered twice")
        SCORES[name] = Score(
            name=name,
            family=function.__module__.rsplit(".", 1)[-1],
            definition=definition or (function.__doc__ or "").strip().splitlines()[0].rstrip("."),
            source=source,
            sign=sign,
            low=low,
            high=high,
            needs=needs,
            function=function,
        )
        return function

    return add


def sort_scores(modules: Sequence[str]) -> None:
    """Sort the registry by the modules that define the scores, and keep the order of scores within a module.

    Args:
        modules: Names of the modules, in the order wanted.
    """
    ordered = sorted(SCORES.items(), key=lambda item: modules.index(item[1].function.__module__))
    SCORES.clear()
    SCORES.update(ordered)


def get_score(name: str) -> Score:
    """Look up a score.

    Args:
        name: Its name in ``SCORES``.

    Raises:
        ScoreError: If there is none of that name; the message lists the names.
    """
    if name not in SCORES:
        raise ScoreError(f"unknown score '{name}', expected one of {', '.join(SCORES)}")
    return SCORES[name]


@dataclass(frozen=True)
class ScoreTable:
    """Scores of many answer sets.

    Args:
        confidence: Values by name of the score, higher = more confident, float64 [B]; NaN for sets that lack an input.
            A score whose inputs no set has is absent.
        left_out: Number of sets left out, by name of the score and by reason. A score that left no set out is absent.
    """

    confidence: dict[str, Tensor]
    left_out: dict[str, dict[str, int]]


def compute_scores(inputs: ScoreInputs, names: Iterable[str] | None = None) -> ScoreTable:
    """Compute scores of all answer sets.

    Args:
        inputs: The answer sets and their inputs.
        names: Scores to compute; None for all.

    Raises:
        ScoreError: If a name is unknown.
    """
    table = ScoreTable({}, {})
    for score in [get_score(name) for name in (SCORES if names is None else names)]:
        lacking = score.lacking(inputs)
        if lacking:
            table.left_out[score.name] = lacking
        if sum(lacking.values()) < len(inputs):
            table.confidence[score.name] = score.confidence(inputs)
    return table
