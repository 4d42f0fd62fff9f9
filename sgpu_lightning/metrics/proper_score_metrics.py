"""Proper scoring rules as torchmetrics classes."""

from __future__ import annotations

from torch import Tensor

from sgpu_lightning.metrics.functional.proper_scores import brier_score, negative_log_likelihood
from sgpu_lightning.metrics.metric_base import ProbabilityMetric


class BrierScore(ProbabilityMetric):
    r"""Compute the mean squared distance of P(correct) from the label (Brier, 1950).

    .. math::
        \text{Brier} = \frac{1}{n} \sum_{i=1}^{n} (p_i - y_i)^2

    See `functional.brier_score` for the definition and `ProbabilityMetric` for inputs and output; 0 is best.

    Args:
        kwargs: Additional keyword arguments of :class:`torchmetrics.Metric`.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics import BrierScore
        >>> metric = BrierScore()
        >>> metric(tensor([0.5, 0.75, 1.0]), tensor([0, 1, 1]))
        tensor(0.1042, dtype=torch.float64)

    """

    higher_is_better: bool = False
    plot_upper_bound: float = 1.0

    def _score(self, probs: Tensor, labels: Tensor) -> Tensor:
        return brier_score(probs, labels)


class NegativeLogLikelihood(ProbabilityMetric):
    r"""Compute the mean negative log-likelihood of the labels (log loss), in nats (Gneiting and Raftery, 2007).

    .. math::
        \text{NLL} = -\frac{1}{n} \sum_{i=1}^{n} y_i \ln p_i + (1 - y_i) \ln (1 - p_i)

    with probabilities clamped to [1e-7, 1 - 1e-7]. Inputs and output are those of `ProbabilityMetric`, the definition
    that of `functional.negative_log_likelihood`; 0 is best.

    Args:
        kwargs: Additional keyword arguments of :class:`torchmetrics.Metric`.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics import NegativeLogLikelihood
        >>> metric = NegativeLogLikelihood()
        >>> metric(tensor([0.5, 0.75, 1.0]), tensor([0, 1, 1]))
        tensor(0.3269, dtype=torch.float64)

    """

    higher_is_better: bool = False

    def _score(self, probs: Tensor, labels: Tensor) -> Tensor:
        return negative_log_likelihood(probs, labels)
