"""Proper scoring rules: calibration and discrimination in one number.

References:
    [Brier1950] Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 1950.
    [Gneiting2007] Gneiting and Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation", JASA 2007.
"""

from __future__ import annotations

from torch import Tensor

from sgpu_lightning.metrics.functional.probability_checks import check_inputs
from sgpu_lightning.metrics.functional.tally_counts import Tally

# The resolution of float32 just below 1: a model in single precision cannot express a probability nearer to certainty.
EPSILON = 1e-7


def brier_score(probs: Tensor, labels: Tensor) -> Tensor:
    r"""Measure the mean squared distance of P(correct) from the label, see [Brier1950].

    .. math::
        \text{Brier} = \frac{1}{n} \sum_{i=1}^{n} (p_i - y_i)^2

    Args:
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.

    Returns:
        The score in [0, 1], a float64 scalar; 0 is best, a constant 0.5 scores 0.25.

    Raises:
        ValueError: If ``probs`` or ``labels`` is not as described, or there are no answers.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics.functional import brier_score
        >>> brier_score(tensor([0.5, 0.75, 1.0]), tensor([0, 1, 1]))
        tensor(0.1042, dtype=torch.float64)

    """
    probs, labels = check_inputs(probs, labels)
    return (probs - labels).square().mean()


def negative_log_likelihood(probs: Tensor, labels: Tensor) -> Tensor:
    r"""Measure the mean negative log-likelihood of the labels (log loss), in nats, see [Gneiting2007].

    .. math::
        \text{NLL} = -\frac{1}{n} \sum_{i=1}^{n} y_i \ln \hat{p}_i + (1 - y_i) \ln (1 - \hat{p}_i),
        \qquad \hat{p}_i = \min(\max(p_i, \epsilon), 1 - \epsilon)

    with :math:`\epsilon = 10^{-7}`, so that a wrong answer with P(correct) = 1 costs 16.1 nats instead of infinity.

    Args:
        probs: P(correct) of each answer, shape ``(n,)``, in [0, 1].
        labels: 1 if the answer is right else 0, shape ``(n,)``.

    Returns:
        The score in [0, 16.2), a float64 scalar; 0 is best, a constant 0.5 scores 0.693.

    Raises:
        ValueError: If ``probs`` or ``labels`` is not as described, or there are no answers.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics.functional import negative_log_likelihood
        >>> negative_log_likelihood(tensor([0.5, 0.75, 1.0]), tensor([0, 1, 1]))
        tensor(0.3269, dtype=torch.float64)

    """
    probs, labels = check_inputs(probs, labels)
    probs = probs.clamp(EPSILON, 1 - EPSILON)
    return -(labels * probs.log() + (1 - labels) * (-probs).log1p()).mean()


def brier_of_tally(counted: Tally) -> Tensor:
    """Tally form of `brier_score`, float64 [R]."""
    p = counted.probs
    return (counted.right @ (1 - p).square() + counted.wrong @ p.square()) / counted.total


def nll_of_tally(counted: Tally) -> Tensor:
    """Tally form of `negative_log_likelihood`, float64 [R]."""
    p = counted.probs.clamp(EPSILON, 1 - EPSILON)
    return -(counted.right @ p.log() + counted.wrong @ (-p).log1p()) / counted.total
