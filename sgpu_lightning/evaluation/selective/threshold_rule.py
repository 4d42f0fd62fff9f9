"""Selective answering: the threshold on P(correct) that keeps the error rate of answered questions below a risk.

If questions are answered where P(correct) is at least t, the error rate of answered questions is
R(t) = P(wrong | P(correct) >= t). R is not monotone in t, and the guarantee must hold with a given confidence.
Conformal risk control [Angelopoulos2024] therefore does not apply, because it bounds the expectation of monotone
losses. Learn then Test [Angelopoulos2021] applies: the number of wrong answers among n answered calibration sets is
Binomial(n, R(t)), and fixed-sequence testing goes down a fixed grid of thresholds as long as the exact binomial test
rejects R(t) > risk. It needs no correction for multiple tests, and no assumption on R or on P(correct). Testing starts
at 1 - risk. There a calibrated predictor is far below the risk, and many more sets are answered than at stricter
thresholds, where too few answered sets would be left to certify.

References:
    [Angelopoulos2021] Angelopoulos, Bates, Candes, Jordan and Lei, "Learn then Test: Calibrating Predictive Algorithms
    to Achieve Risk Control", arXiv 2110.01052, 2021.
    [Angelopoulos2024] Angelopoulos, Bates, Fisch, Lei and Schuster, "Conformal Risk Control", ICLR 2024 (arXiv
    2208.02814, 2022).
    [Bates2021] Bates, Angelopoulos, Lei, Malik and Jordan, "Distribution-Free, Risk-Controlling Prediction Sets", J.
    ACM 68(6), 2021.
    [Clopper1934] Clopper and Pearson, "The Use of Confidence or Fiducial Limits", Biometrika 26, 1934.
    [Geifman2017] Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017: the same
    guarantee by a union bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.metrics.functional import Interval
from sgpu_lightning.metrics.functional.probability_checks import check_inputs

STEPS = 200  # grid steps between 0 and 1, fixed beforehand; otherwise the tests would not be valid


class SelectiveError(SGPUError):
    """Calibration sets or a risk with which no threshold can be certified."""


@dataclass(frozen=True, kw_only=True)
class SelectiveRule:
    """The rule to answer where P(correct) is at least a threshold.

    Args:
        threshold: The threshold; None if none can be certified.
        risk: Largest allowed proportion of wrong answers among answered questions.
        confidence: Probability that the risk is kept, over draws of the calibration sets.
        coverage: Proportion of questions answered, with its exact 95 % interval [Clopper1934].
        answered: Number of answered calibration sets.
        wrong: Number of wrong answers among them.
        sets: Number of calibration sets used, one for each group.
        fewest: Smallest number of answered sets, all of them right, with which a threshold can be certified.
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

    With probability ``confidence`` over draws of the calibration sets, R(threshold) <= risk on new questions from the
    same distribution. The calibration sets must not have been used to fit the predictor.

    Args:
        probs: Held-out P(correct) of each calibration set, [n], in [0, 1].
        labels: 1 for a right answer, 0 for a wrong one, [n].
        risk: Largest allowed proportion of wrong answers among answered questions, in (0, 1).
        confidence: Confidence 1 - delta, in (0, 1).
        start: Strictest threshold tried, in [0, 1], chosen without these sets; None for 1 - risk. Choose a greater one
            for a predictor known to be overconfident.
        groups: Group of each set, [n]. Sets of one group are not independent, so one set of each group is drawn, and
            the guarantee is for a set drawn from a random group. None if every set is a separate group.
        seed: Random seed of that draw.

    Raises:
        SelectiveError: If risk, confidence or start is out of range, or ``groups`` has another length than ``probs``.
        ValueError: If ``probs`` or ``labels`` is outside its range or of another shape.
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
    """Compute a proportion with its exact confidence interval, see [Clopper1934].

    Args:
        successes: Number of successes.
        count: Number of trials, at least 1.
        confidence: Confidence of the interval, in (0, 1).

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
    """Draw one set of each group at random, and return the rows."""
    if len(groups) != count:
        raise SelectiveError(f"groups: expected {count}, one for each calibration set, got {len(groups)}")
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    first = {groups[row]: row for row in reversed(order)}
    return torch.tensor(sorted(first.values()))
