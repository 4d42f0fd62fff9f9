"""Selective answering: the threshold on P(correct) that keeps the error rate of answered questions below a risk.

Answering where P(correct) is at least t, the error rate among what is answered is R(t) = P(wrong | P(correct) >= t).
It is no monotone function of t, and the promise is to hold with a confidence: conformal risk control
[Angelopoulos2024], which bounds the expectation of monotone losses, is not the tool. Learn then Test [Angelopoulos2021]
is: of n answered calibration sets the wrong ones are Binomial(n, R(t)), and fixed-sequence testing goes down a fixed
grid of thresholds as long as the exact binomial test rejects R(t) > risk. Neither a correction for many tests nor any
assumption on R or on P(correct) is needed. Testing starts at 1 - risk, where a calibrated predictor keeps the risk by
far, and where many more sets are answered than at stricter thresholds, which few sets could certify.

References:
    [Angelopoulos2021] Angelopoulos, Bates, Candes, Jordan and Lei, "Learn then Test: Calibrating Predictive Algorithms
    to Achieve Risk Control", arXiv 2110.01052, 2021.
    [Angelopoulos2024] Angelopoulos, Bates, Fisch, Lei and Schuster, "Conformal Risk Control", ICLR 2024 (arXiv
    2208.02814, 2022).
    [Bates2021] Bates, Angelopoulos, Lei, Malik and Jordan, "Distribution-Free, Risk-Controlling Prediction Sets", J.
    ACM 68(6), 2021.
    [Clopper1934] Clopper and Pearson, "The Use of Confidence or Fiducial Limits", Biometrika 26, 1934.
    [Geifman2017] Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017: the same
    promise by a union bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.metrics.functional import Interval
from sgpu_lightning.metrics.functional.input_checks import check_inputs

STEPS = 200  # of the grid between 0 and 1; fixed beforehand, or the tests would not be valid


class SelectiveError(SGPUError):
    """Calibration sets or a risk that no threshold can be certified with."""


@dataclass(frozen=True, kw_only=True)
class SelectiveRule:
    """Answer where P(correct) is at least the threshold.

    Args:
        threshold: None where none can be certified.
        risk: The greatest share of wrong answers among the answered ones.
        confidence: With which the risk is kept, over draws of the calibration sets.
        coverage: Share of questions answered, with its exact 95 % interval [Clopper1934].
        answered: Calibration sets answered.
        wrong: Of these.
        sets: Calibration sets used, one for each group.
        fewest: As many must be answered, all right, for any threshold to be certified.
    """

    threshold: float | None
    risk: float
    confidence: float
    coverage: Interval
    answered: int
    wrong: int
    sets: int
    fewest: int

    def __str__(self) -> str:
        if self.threshold is None:
            return (
                f"no threshold keeps the error rate of answered questions below {self.risk:g} with confidence "
                f"{self.confidence:g}: none can be certified on {self.sets} calibration sets (at least {self.fewest} "
                "answered ones, all right, are needed); give more sets, or a greater risk"
            )
        return (
            f"answer where P(correct) >= {self.threshold:g}: at most {self.risk:.1%} of answered questions are wrong, "
            f"with confidence {self.confidence:g}; on {self.sets} calibration sets {self.answered} are answered "
            f"(coverage {self.coverage}), {self.wrong} of them wrong"
        )


def certify_threshold(
    probs: Tensor,
    labels: Tensor,
    *,
    risk: float = 0.1,
    confidence: float = 0.95,
    start: float | None = None,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> SelectiveRule:
    """Find the lowest threshold that keeps the error rate of answered questions below a risk, see [Angelopoulos2021].

    With probability ``confidence`` over the calibration sets, R(threshold) <= risk on new questions like them. They
    must not have been used to fit the predictor.

    Args:
        probs: Held-out P(correct) of each calibration set, [n], in [0, 1].
        labels: 1 if the answer is right else 0, [n].
        risk: The greatest share of wrong answers among answered ones, in (0, 1).
        confidence: 1 - delta, in (0, 1).
        start: The strictest threshold tried, in [0, 1], chosen without these sets; None for 1 - risk. Greater for a
            predictor known to be too sure.
        groups: What sets belong to, [n]; sets of one group are not independent, so one of each is drawn, and the
            promise is for a set drawn from a random group. None where each is on its own.
        seed: Of that draw.

    Raises:
        SelectiveError: If risk, confidence or start is out of range.
        ValueError: If ``probs`` or ``labels`` is not as described.
    """
    from scipy.special import bdtr  # the binomial distribution function

    for name, value in (("risk", risk), ("confidence", confidence)):
        if not 0.0 < value < 1.0:
            raise SelectiveError(f"{name}: expected a number between 0 and 1, got {value}")
    first = 1.0 - risk if start is None else start
    if not 0.0 <= first <= 1.0:
        raise SelectiveError(f"start: expected a threshold in [0, 1], got {start}")
    probs, labels = check_inputs(probs, labels)
    if groups is not None:
        rows = _one_of_each(groups, len(probs), seed)
        probs, labels = probs[rows], labels[rows]
    found, answered, wrong = None, 0, 0
    for step in range(round(first * STEPS), -1, -1):
        chosen = probs >= step / STEPS
        count, errors = int(chosen.sum()), int((labels[chosen] == 0).sum())
        if float(bdtr(errors, count, risk)) > 1.0 - confidence:
            break
        found, answered, wrong = step / STEPS, count, errors
    return SelectiveRule(
        threshold=found,
        risk=risk,
        confidence=confidence,
        coverage=exact_interval(answered, len(probs)),
        answered=answered,
        wrong=wrong,
        sets=len(probs),
        fewest=math.ceil(math.log(1.0 - confidence) / math.log(1.0 - risk) - 1e-9),
    )


def exact_interval(successes: int, count: int, confidence: float = 0.95) -> Interval:
    """A share with its exact interval, see [Clopper1934].

    Args:
        successes: How many of ``count``.
        count: At least 1.
        confidence: Of the interval, in (0, 1).

    Example:
        >>> from sgpu_lightning.evaluation.selective.threshold_rule import exact_interval
        >>> print(exact_interval(8, 10))
        0.800 [0.444, 0.975]

    """
    from scipy.stats import beta

    tail = (1.0 - confidence) / 2.0
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, count - successes + 1))
    high = 1.0 if successes == count else float(beta.ppf(1.0 - tail, successes + 1, count - successes))
    return Interval(successes / count, low, high)


def _one_of_each(groups: Sequence[str], count: int, seed: int) -> Tensor:
    """Rows of one set of each group, drawn at random."""
    if len(groups) != count:
        raise SelectiveError(f"groups: expected {count}, one for each calibration set, got {len(groups)}")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    first = {groups[row]: row for row in reversed(order)}
    return torch.tensor(sorted(first.values()))
