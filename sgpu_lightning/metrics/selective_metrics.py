"""Selective answering as torchmetrics classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sgpu_lightning.metrics.functional.checks import check_share
from sgpu_lightning.metrics.functional.selective import (
    accuracy_at_coverage,
    aurc,
    coverage_at_risk,
    prediction_rejection_ratio,
    risk_coverage_curve,
)
from sgpu_lightning.metrics.metric_base import ProbabilityMetric


class AURC(ProbabilityMetric):
    r"""Compute the area under the risk-coverage curve (Geifman et al., ICLR 2019).

    .. math::
        \text{AURC} = \frac{1}{n} \sum_{k=1}^{n} (1 - \text{acc}_k) = 1 - \text{AUARC}

    Inputs and output are those of `ProbabilityMetric`, the definition that of `functional.aurc`; lower is better.

    Args:
        kwargs: Additional keyword arguments of :class:`torchmetrics.Metric`.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics import AURC
        >>> metric = AURC()
        >>> metric(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]))
        tensor(0.2708, dtype=torch.float64)

    """

    higher_is_better: bool = False
    plot_upper_bound: float = 1.0

    def _score(self, probs: Tensor, labels: Tensor) -> Tensor:
        return aurc(probs, labels)


class PredictionRejectionRatio(ProbabilityMetric):
    r"""Compute the prediction-rejection ratio (Malinin et al., ACL 2017) as lm-polygraph defines it.

    .. math::
        \text{PRR} = \frac{A - \text{acc}}{A^* - \text{acc}}

    Inputs and output are those of `ProbabilityMetric`, the definition that of `functional.prediction_rejection_ratio`;
    1 is best, 0 is chance, and it is nan, with a warning, where all answers are right or all are wrong.

    Args:
        max_rejection: The greatest share of answers rejected, in (0, 1].
        kwargs: Additional keyword arguments of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: If ``max_rejection`` is not a share.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics import PredictionRejectionRatio
        >>> metric = PredictionRejectionRatio()
        >>> metric(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]))
        tensor(0.7857, dtype=torch.float64)

    """

    higher_is_better: bool = True
    plot_lower_bound: float = -1.0
    plot_upper_bound: float = 1.0

    def __init__(self, max_rejection: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_share("max_rejection", max_rejection)
        self.max_rejection = max_rejection

    def _score(self, probs: Tensor, labels: Tensor) -> Tensor:
        return prediction_rejection_ratio(probs, labels, self.max_rejection)


class AccuracyAtCoverage(ProbabilityMetric):
    """Compute the accuracy of a share of answers, those of highest P(correct).

    Inputs and output are those of `ProbabilityMetric`, the definition that of `functional.accuracy_at_coverage`; higher
    is better.

    Args:
        coverage: The share of answers kept, in (0, 1].
        kwargs: Additional keyword arguments of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: If ``coverage`` is not a share.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics import AccuracyAtCoverage
        >>> metric = AccuracyAtCoverage(coverage=0.5)
        >>> metric(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]))
        tensor(0.7500, dtype=torch.float64)

    """

    higher_is_better: bool = True
    plot_upper_bound: float = 1.0

    def __init__(self, coverage: float = 0.8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_share("coverage", coverage)
        self.coverage = coverage

    def _score(self, probs: Tensor, labels: Tensor) -> Tensor:
        return accuracy_at_coverage(probs, labels, self.coverage)


class CoverageAtRisk(ProbabilityMetric):
    """Compute the greatest coverage at which at most a share of the answers kept is wrong.

    Inputs and output are those of `ProbabilityMetric`, the definition that of `functional.coverage_at_risk`; higher is
    better.

    Args:
        risk: The share of wrong answers that is tolerated, in (0, 1].
        kwargs: Additional keyword arguments of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: If ``risk`` is not a share.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics import CoverageAtRisk
        >>> metric = CoverageAtRisk(risk=0.3)
        >>> metric(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]))
        tensor(0.5000, dtype=torch.float64)

    """

    higher_is_better: bool = True
    plot_upper_bound: float = 1.0

    def __init__(self, risk: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_share("risk", risk)
        self.risk = risk

    def _score(self, probs: Tensor, labels: Tensor) -> Tensor:
        return coverage_at_risk(probs, labels, self.risk)


class RiskCoverageCurve(ProbabilityMetric):
    """Compute the risk-coverage curve (Geifman and El-Yaniv, NeurIPS 2017).

    Inputs are those of `ProbabilityMetric`, the definition that of `functional.risk_coverage_curve`. The output is a
    float64 tensor of shape ``(2, n)``: coverages, and the risk at each; a nan scalar where no answer was seen.

    Args:
        kwargs: Additional keyword arguments of :class:`torchmetrics.Metric`.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics import RiskCoverageCurve
        >>> metric = RiskCoverageCurve()
        >>> metric(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1])).shape
        torch.Size([2, 4])

    """

    def _score(self, probs: Tensor, labels: Tensor) -> Tensor:
        return torch.stack(risk_coverage_curve(probs, labels))
