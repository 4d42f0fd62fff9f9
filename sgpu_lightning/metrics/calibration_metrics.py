"""Calibration errors as torchmetrics classes: the expected calibration error (ECE), the adaptive one, and the floor."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sgpu_lightning.metrics.functional.calibration import (
    adaptive_calibration_error,
    calibration_noise_floor,
    expected_calibration_error,
)
from sgpu_lightning.metrics.functional.probability_checks import check_count
from sgpu_lightning.metrics.metric_base import ProbabilityMetric


class CalibrationError(ProbabilityMetric):
    r"""Compute the expected calibration error (ECE) in bins of equal width (Naeini et al., 2015; Guo et al., 2017).

    .. math::
        \text{ECE} = \sum_{b=1}^{B} \frac{n_b}{n} \left| \text{acc}_b - \text{conf}_b \right|

    The last bin is closed; 0 is best. Compare it with `CalibrationNoiseFloor`. See
    `functional.expected_calibration_error` for the definition and `ProbabilityMetric` for inputs and output.

    Args:
        num_bins: The number of bins B.
        kwargs: Additional keyword arguments of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: If ``num_bins`` is not a positive integer.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics import CalibrationError
        >>> metric = CalibrationError(num_bins=2)
        >>> metric.update(tensor([0.25, 0.25]), tensor([0, 1]))
        >>> metric.update(tensor([0.75, 1.0]), tensor([1, 1]))
        >>> metric.compute()
        tensor(0.1875, dtype=torch.float64)

    """

    higher_is_better: bool = False
    plot_upper_bound: float = 1.0

    def __init__(self, num_bins: int = 15, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_count("num_bins", num_bins)
        self.num_bins = num_bins

    def _score(self, probs: Tensor, labels: Tensor) -> Tensor:
        return expected_calibration_error(probs, labels, self.num_bins)


class AdaptiveCalibrationError(CalibrationError):
    r"""Compute the calibration error in bins of equally many answers (Nguyen and O'Connor, 2015).

    .. math::
        \text{ACE} = \sum_{b=1}^{B} \frac{n_b}{n} \left| \text{acc}_b - \text{conf}_b \right|

    0 is best. See `functional.adaptive_calibration_error` for the definition and `ProbabilityMetric` for inputs and
    output.

    Args:
        num_bins: The number of bins B.
        kwargs: Additional keyword arguments of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: If ``num_bins`` is not a positive integer.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics import AdaptiveCalibrationError
        >>> metric = AdaptiveCalibrationError(num_bins=2)
        >>> metric(tensor([0.5, 0.75, 0.75, 1.0]), tensor([0, 1, 0, 1]))
        tensor(0.2500, dtype=torch.float64)

    """

    def _score(self, probs: Tensor, labels: Tensor) -> Tensor:
        return adaptive_calibration_error(probs, labels, self.num_bins)


class CalibrationNoiseFloor(ProbabilityMetric):
    r"""Compute the `CalibrationError` of a perfectly calibrated predictor (Bröcker and Smith, 2007).

    .. math::
        \mathbb{E}_{\tilde{y}_i \sim \text{Bernoulli}(p_i)} \left[ \text{ECE}(p, \tilde{y}) \right]

    A calibration error at or below it is no evidence of miscalibration. The labels are accepted but not used, so that
    the metric fits into a collection with the others. See `functional.calibration_noise_floor` for the definition and
    `ProbabilityMetric` for inputs and output.

    Args:
        num_bins: The number of bins B of the calibration error it is compared with.
        num_resamples: The number of label sets drawn.
        seed: Random seed of the draws.
        kwargs: Additional keyword arguments of :class:`torchmetrics.Metric`.

    Raises:
        ValueError: If ``num_bins`` or ``num_resamples`` is not a positive integer.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics import CalibrationNoiseFloor
        >>> metric = CalibrationNoiseFloor(num_bins=2)
        >>> metric(tensor([0.25, 0.25, 0.75, 1.0]), tensor([0, 1, 1, 1]))
        tensor(0.2263, dtype=torch.float64)

    """

    plot_upper_bound: float = 1.0

    def __init__(self, num_bins: int = 15, num_resamples: int = 200, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_count("num_bins", num_bins)
        check_count("num_resamples", num_resamples)
        self.num_bins = num_bins
        self.num_resamples = num_resamples
        self.seed = seed

    def _score(self, probs: Tensor, labels: Tensor) -> Tensor:
        return calibration_noise_floor(probs, self.num_bins, self.num_resamples, self.seed)
