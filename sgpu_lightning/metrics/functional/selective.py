"""Selective answering: the gain from rejecting the least confident answers.

Figures are averaged over the orders of ties, as in `auarc`.

References:
    [Malinin2017] Malinin et al., "Incorporating Uncertainty into Deep Learning for Spoken Language Assessment", ACL
    2017.
    [Geifman2017] Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", NeurIPS 2017.
    [Geifman2019] Geifman et al., "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers", ICLR 2019.
    [Vashurin2025] Vashurin et al., "Benchmarking Uncertainty Quantification Methods for Large Language Models with
    LM-Polygraph", TACL 2025.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from sgpu_lightning.metrics.functional.probability_checks import check_proportion
from sgpu_lightning.metrics.functional.ranking import auarc_of_tally
from sgpu_lightning.metrics.functional.tally_counts import (
    SLACK,
    Tally,
    harmonic_numbers,
    least_kept,
    right_of_top,
    tally,
)


def risk_coverage_curve(probs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    r"""Measure the risk, the proportion of wrong answers, of the k answers of highest P(correct), see [Geifman2017].

    Args:
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.

    Returns:
        The coverage k / n and the risk for k = 1 .. n, float64 of shape ``(n,)`` each.

    Raises:
        ValueError: If ``probs`` or ``labels`` is not as described, or there are no answers.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics.functional import risk_coverage_curve
        >>> coverage, risk = risk_coverage_curve(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]))
        >>> [round(value, 3) for value in risk.tolist()]
        [0.0, 0.25, 0.333, 0.5]

    """
    counted = tally(probs, labels)
    places = torch.arange(1, len(probs) + 1, dtype=torch.float64)
    risk = 1 - right_of_top(counted, places.unsqueeze(0))[0] / places
    return (places / len(probs)).to(probs.device), risk.to(probs.device)


def aurc(probs: Tensor, labels: Tensor) -> Tensor:
    r"""Measure the area under the risk-coverage curve, see [Geifman2019].

    .. math::
        \text{AURC} = \frac{1}{n} \sum_{k=1}^{n} (1 - \text{acc}_k) = 1 - \text{AUARC}

    Args:
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.

    Returns:
        The area in [0, 1], a float64 scalar; lower is better.

    Raises:
        ValueError: If ``probs`` or ``labels`` is not as described, or there are no answers.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics.functional import aurc
        >>> aurc(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]))
        tensor(0.2708, dtype=torch.float64)

    """
    return aurc_of_tally(tally(probs, labels))[0].to(probs.device)


def prediction_rejection_ratio(probs: Tensor, labels: Tensor, max_rejection: float = 1.0) -> Tensor:
    r"""Measure the prediction-rejection ratio (PRR), see [Malinin2017], as [Vashurin2025] define it.

    .. math::
        \text{PRR} = \frac{A - \text{acc}}{A^* - \text{acc}}, \qquad
        A = \frac{1}{m} \sum_{k=n-m+1}^{n} \text{acc}_k, \quad m = \lfloor r n \rfloor

    where :math:`\text{acc}_k` is the proportion of right answers among the k of highest P(correct), :math:`A^*` is A
    of a predictor that puts all right answers first, and acc is the accuracy, which random rejection gives in
    expectation. With r = 1, A is `auarc`. lm-polygraph averages a thousand random rejections instead of using the
    expectation.

    Args:
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.
        max_rejection: The greatest proportion r of answers rejected, in (0, 1]; [Vashurin2025] report 0.5.

    Returns:
        The ratio, a float64 scalar; 1 is best, 0 is chance. It is nan, with a warning, if all answers are right or
        all are wrong.

    Raises:
        ValueError: If an argument is not as described, or there are no answers.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics.functional import prediction_rejection_ratio
        >>> prediction_rejection_ratio(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]))
        tensor(0.7857, dtype=torch.float64)

    """
    check_proportion("max_rejection", max_rejection)
    value = prr_of_tally(tally(probs, labels), max_rejection)[0]
    if value.isnan():
        warnings.warn(
            f"PRR is undefined: expected right and wrong answers, got {len(labels)} of label {int(labels[0])}. "
            "Returning nan.",
            UserWarning,
            stacklevel=2,
        )
    return value.to(probs.device)


def accuracy_at_coverage(probs: Tensor, labels: Tensor, coverage: float = 0.8) -> Tensor:
    r"""Measure the accuracy of the :math:`\lceil c n \rceil` answers of highest P(correct).

    Args:
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.
        coverage: The proportion c of answers kept, in (0, 1].

    Returns:
        The accuracy in [0, 1], a float64 scalar; higher is better.

    Raises:
        ValueError: If an argument is not as described, or there are no answers.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics.functional import accuracy_at_coverage
        >>> accuracy_at_coverage(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]), coverage=0.5)
        tensor(0.7500, dtype=torch.float64)

    """
    check_proportion("coverage", coverage)
    return accuracy_at_coverage_of_tally(tally(probs, labels), coverage)[0].to(probs.device)


def coverage_at_risk(probs: Tensor, labels: Tensor, risk: float = 0.1) -> Tensor:
    r"""Measure the greatest coverage k / n at which at most a proportion r of the top k is wrong.

    The top k are the answers of highest P(correct). The coverage is that of these labels; it is no guarantee for other
    answers.

    Args:
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.
        risk: The tolerated proportion r of wrong answers, in (0, 1].

    Returns:
        The coverage in [0, 1], a float64 scalar; higher is better. It is 0 if the risk is above r for every k.

    Raises:
        ValueError: If an argument is not as described, or there are no answers.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics.functional import coverage_at_risk
        >>> coverage_at_risk(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]), risk=0.3)
        tensor(0.5000, dtype=torch.float64)

    """
    check_proportion("risk", risk)
    return coverage_at_risk_of_tally(tally(probs, labels), risk)[0].to(probs.device)


def accuracy_of_tally(counted: Tally) -> Tensor:
    """Proportion of right answers, float64 [R]."""
    return counted.right.sum(1) / counted.total


def aurc_of_tally(counted: Tally) -> Tensor:
    """Tally form of `aurc`, float64 [R]."""
    return 1 - auarc_of_tally(counted)


def prr_of_tally(counted: Tally, max_rejection: float = 1.0) -> Tensor:
    """Tally form of `prediction_rejection_ratio`, float64 [R]; NaN if all answers are right or all are wrong.

    Args:
        counted: The answers.
        max_rejection: The greatest proportion of answers rejected, in (0, 1].
    """
    chance = accuracy_of_tally(counted)
    gain, most = (area(counted, max_rejection) - chance for area in (auarc_of_tally, _best_auarc))
    single = (counted.right.sum(1) == 0) | (counted.wrong.sum(1) == 0)
    return torch.where(single, torch.nan, gain / most)


def _best_auarc(counted: Tally, max_rejection: float) -> Tensor:
    """`auarc_of_tally` of a predictor that ranks all right answers before all wrong ones, [R]."""
    right, least = counted.right.sum(1), least_kept(counted.total, max_rejection).squeeze(1)
    harmonic = harmonic_numbers(counted.total)
    perfect = (right - least).clamp_min(0.0)
    beyond = harmonic[counted.total.long()] - harmonic[torch.maximum(right, least).long()]
    return (perfect + right * beyond) / (counted.total - least)


def accuracy_at_coverage_of_tally(counted: Tally, coverage: float = 0.8) -> Tensor:
    """Tally form of `accuracy_at_coverage`, float64 [R].

    Args:
        counted: The answers.
        coverage: The proportion of answers kept, in (0, 1].
    """
    places = (coverage * counted.total - SLACK).ceil().clamp_min(1.0).unsqueeze(1)
    return (right_of_top(counted, places) / places).squeeze(1)


def coverage_at_risk_of_tally(counted: Tally, risk: float = 0.1) -> Tensor:
    """Tally form of `coverage_at_risk`, float64 [R].

    Args:
        counted: The answers.
        risk: The tolerated proportion of wrong answers, in (0, 1].
    """
    size, _, above, right_above = counted.from_top
    # At most risk wrong among the top k: a + s k >= (1 - risk) k, with a and s as in `auarc_of_tally`.
    rest, excess = right_above - counted.tie_accuracy * above, counted.tie_accuracy - (1 - risk)
    falls = excess < -SLACK
    most = torch.where(falls, ((rest + SLACK) / -excess).floor(), above + size)
    most = torch.minimum(most, above + size)
    holds = (rest + excess * most >= -SLACK) & (most > above)
    return torch.where(holds, most, 0.0).amax(1) / counted.total
