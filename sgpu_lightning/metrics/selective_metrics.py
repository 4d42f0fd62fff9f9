"""Selective answering as torchmetrics classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sgpu_lightning.metrics.functional.probability_checks import check_proportion
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

    See `functional.aurc` for the definition and `ProbabilityMetric` for inputs and output; lower is better.

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

    See `functional.prediction_rejection_ratio` for the definition and `ProbabilityMetric` for inputs and output;
    1 is best, 0 is chance, and it is nan, with a warning, if all answers are right or all are wrong.

    Args:
        max_rejection: The greatest proportion of answers rejected, in (0, 1].
        kwargs: Additional keyword arguments of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: If ``max_rejection`` is not in (0, 1].

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
        check_proportion("max_rejection", max_rejection)
        self.max_rejection = max_rejection

    def _score(self, probs: Tensor, labels: Tensor) -> Tensor:
        return prediction_rejection_ratio(probs, labels, self.max_rejection)


class AccuracyAtCoverage(ProbabilityMetric):
    """Compute the accuracy of a proportion of the answers, those of highest P(correct).

    See `functional.accuracy_at_coverage` for the definition and `ProbabilityMetric` for inputs and output; higher
    is better.

    Args:
        coverage: The proportion of answers kept, in (0, 1].
        kwargs: Additional keyword arguments of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: If ``coverage`` is not in (0, 1].

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
        check_proportion("coverage", coverage)
        self.coverage = coverage

    def _score(self, probs: Tensor, labels: Tensor) -> Tensor:
        return accuracy_at_coverage(probs, labels, self.coverage)


class CoverageAtRisk(ProbabilityMetric):
    """Compute the greatest coverage at which at most a given proportion of the answers kept is wrong.

    See `functional.coverage_at_risk` for the definition and `ProbabilityMetric` for inputs and output; higher is
    better.

    Args:
        risk: The tolerated proportion of wrong answers, in (0, 1].
        kwargs: Additional keyword arguments of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: If ``risk`` is not in (0, 1].

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
        check_proportion("risk", risk)
        self.risk = risk

    def _score(self, probs: Tensor, labels: Tensor) -> Tensor:
        return coverage_at_risk(probs, labels, self.risk)


class RiskCoverageCurve(ProbabilityMetric):
    """Compute the risk-coverage curve (Geifman and El-Yaniv, NeurIPS 2017).

    See `functional.risk_coverage_curve` for the definition and `ProbabilityMetric` for inputs. The output is a float64
    tensor of shape ``(2, n)``: the coverages, and the risk at each; a nan scalar if no answer was seen.

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
