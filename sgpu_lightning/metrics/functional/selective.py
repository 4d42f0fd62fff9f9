"""Selective answering: what is gained where the least confident answers are rejected.

Ties are averaged over their orders, as in `auarc`.

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

from sgpu_lightning.metrics.functional import tally as counts
from sgpu_lightning.metrics.functional.checks import check_share
from sgpu_lightning.metrics.functional.tally import right_of_top, tally


def risk_coverage_curve(probs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    r"""Measure the risk, the share of wrong answers, of the k answers of highest P(correct), see [Geifman2017].

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
    return counts.aurc(tally(probs, labels))[0].to(probs.device)


def prediction_rejection_ratio(probs: Tensor, labels: Tensor, max_rejection: float = 1.0) -> Tensor:
    r"""Measure the prediction-rejection ratio (PRR), see [Malinin2017], as [Vashurin2025] define it.

    .. math::
        \text{PRR} = \frac{A - \text{acc}}{A^* - \text{acc}}, \qquad
        A = \frac{1}{m} \sum_{k=n-m+1}^{n} \text{acc}_k, \quad m = \lfloor r n \rfloor

    where :math:`\text{acc}_k` is the share of right answers among the k of highest P(correct), :math:`A^*` the same for
    a predictor that puts all right answers first, and acc, the accuracy, what random rejection gives. With r = 1, A is
    `auarc`. lm-polygraph draws the random one a thousand times, where here its expectation stands.

    Args:
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.
        max_rejection: The greatest share r of answers rejected, in (0, 1]; [Vashurin2025] report 0.5.

    Returns:
        The ratio, a float64 scalar; 1 is best, 0 is chance. It is nan, with a warning, where all answers are right or
        all are wrong.

    Raises:
        ValueError: If an argument is not as described, or there are no answers.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics.functional import prediction_rejection_ratio
        >>> prediction_rejection_ratio(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]))
        tensor(0.7857, dtype=torch.float64)

    """
    check_share("max_rejection", max_rejection)
    value = counts.prr(tally(probs, labels), max_rejection)[0]
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
        coverage: The share c of answers kept, in (0, 1].

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
    check_share("coverage", coverage)
    return counts.accuracy_at_coverage(tally(probs, labels), coverage)[0].to(probs.device)


def coverage_at_risk(probs: Tensor, labels: Tensor, risk: float = 0.1) -> Tensor:
    r"""Measure the greatest coverage k / n at which at most a share r of the k most confident answers is wrong.

    It looks back at known labels: it is no promise for other answers.

    Args:
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.
        risk: The share r of wrong answers that is tolerated, in (0, 1].

    Returns:
        The coverage in [0, 1], a float64 scalar; higher is better, 0 where no k is good enough.

    Raises:
        ValueError: If an argument is not as described, or there are no answers.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics.functional import coverage_at_risk
        >>> coverage_at_risk(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]), risk=0.3)
        tensor(0.5000, dtype=torch.float64)

    """
    check_share("risk", risk)
    return counts.coverage_at_risk(tally(probs, labels), risk)[0].to(probs.device)
