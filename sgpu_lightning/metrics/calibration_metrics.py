"""Calibration errors as torchmetrics classes."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sgpu_lightning.metrics.functional.calibration import (
    adaptive_calibration_error,
    calibration_error,
    calibration_noise_floor,
)
from sgpu_lightning.metrics.functional.checks import check_count
from sgpu_lightning.metrics.metric_base import ProbabilityMetric


class CalibrationError(ProbabilityMetric):
    r"""Compute the expected calibration error (ECE) in bins of equal width (Naeini et al., 2015; Guo et al., 2017).

    .. math::
        \text{ECE} = \sum_{b=1}^{B} \frac{n_b}{n} \left| \text{acc}_b - \text{conf}_b \right|

    The last bin is closed. Inputs and output are those of `ProbabilityMetric`, the definition that of
    `functional.calibration_error`; 0 is best. Read it beside `CalibrationNoiseFloor`.

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
        return calibration_error(probs, labels, self.num_bins)


class AdaptiveCalibrationError(CalibrationError):
    r"""Compute the calibration error in bins that hold equally many answers (Nguyen and O'Connor, 2015).

    .. math::
        \text{ACE} = \sum_{b=1}^{B} \frac{n_b}{n} \left| \text{acc}_b - \text{conf}_b \right|

    Inputs and output are those of `ProbabilityMetric`, the definition that of
    `functional.adaptive_calibration_error`; 0 is best.

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
    r"""Compute the `CalibrationError` that a perfectly calibrated predictor would show (Bröcker and Smith, 2007).

    .. math::
        \mathbb{E}_{\tilde{y}_i \sim \text{Bernoulli}(p_i)} \left[ \text{ECE}(p, \tilde{y}) \right]

    An error at or below it is no evidence of miscalibration. Inputs and output are those of `ProbabilityMetric`; the
    labels are taken, and not used, so that it stands in one collection with the others. The definition is that of
    `functional.calibration_noise_floor`.

    Args:
        num_bins: The number of bins B of the error it is compared with.
        num_resamples: The number of label sets drawn.
        seed: Starts the generator that draws them.
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
