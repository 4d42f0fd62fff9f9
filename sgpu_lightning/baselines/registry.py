"""The scores by name: what each needs, its sign and range, and how all of them are computed over many answer sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from sgpu_lightning.baselines.score_inputs import REASONS, Need, ScoreInputs, SetGroup
from sgpu_lightning.errors import SGPUError

Function = Callable[[SetGroup], Tensor]


class ScoreError(SGPUError):
    """A score that does not exist."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One unsupervised score of an answer set.

    Args:
        name: Unique in the registry.
        family: Which file it is from.
        definition: One sentence: the raw quantity.
        source: Where it is from.
        sign: 1 where the raw quantity is higher for more confidence, -1 where it is uncertainty.
        low: Least raw value, in words; n is the number of answers.
        high: Greatest raw value, in words.
        needs: What it is computed from, apart from the answers' texts.
        function: The raw quantity of each set of a group, float64 [b].
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
        """The raw quantity, float64 [B]; NaN for sets that lack what it needs."""
        values = torch.full((len(inputs),), torch.nan, dtype=torch.float64)
        for group in inputs.groups:
            if group.has.issuperset(self.needs):
                values[group.rows] = self.function(group) + 0.0  # -0.0 becomes 0.0
        return values

    def confidence(self, inputs: ScoreInputs) -> Tensor:
        """The score oriented so that higher is more confident, float64 [B]; NaN for sets that lack what it needs."""
        return self.sign * self.raw(inputs) + 0.0

    def lacking(self, inputs: ScoreInputs) -> dict[str, int]:
        """Why sets are left out, and how many for each reason; a set counts for the first that holds."""
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
    """Put a function of a group under a name; its family is its module, its definition the docstring's first line."""

    def add(function: Function) -> Function:
        """Register the function, and leave it as it is."""
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


def get_score(name: str) -> Score:
    """The score of that name.

    Raises:
        ScoreError: If there is none, listing those there are.
    """
    if name not in SCORES:
        raise ScoreError(f"unknown score '{name}', expected one of {', '.join(SCORES)}")
    return SCORES[name]


@dataclass(frozen=True)
class ScoreTable:
    """Scores of many answer sets.

    Args:
        confidence: By name, higher = more confident, float64 [B]; NaN for sets that lack what a score needs. Scores
            that no set has the inputs of are not there.
        left_out: By name, why sets were left out and how many for each reason; scores that left none out are not
            there.
    """

    confidence: dict[str, Tensor]
    left_out: dict[str, dict[str, int]]


def compute_scores(inputs: ScoreInputs, names: Iterable[str] | None = None) -> ScoreTable:
    """All scores, or the named ones, of all answer sets.

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
