"""The metrics that every fit and evaluation reports."""

from __future__ import annotations

from torchmetrics import MetricCollection

from sgpu_lightning.metrics.calibration_metrics import CalibrationError, CalibrationNoiseFloor
from sgpu_lightning.metrics.proper_score_metrics import BrierScore, NegativeLogLikelihood
from sgpu_lightning.metrics.ranking_metrics import AUARC, AUROC


def probability_metrics(prefix: str = "") -> MetricCollection:
    """Make the collection ``nll``, ``brier``, ``ece``, ``ece_floor``, ``auroc``, ``auarc``.

    Args:
        prefix: Put before every key, for example ``val/``.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics import probability_metrics
        >>> metrics = probability_metrics("val/")
        >>> metrics.update(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]))
        >>> for key, value in metrics.compute().items():
        ...     print(key, round(value.item(), 3))
        val/auarc 0.729
        val/auroc 0.875
        val/brier 0.143
        val/ece 0.125
        val/ece_floor 0.282
        val/nll 0.439

    """
    return MetricCollection(
        {
            "nll": NegativeLogLikelihood(),
            "brier": BrierScore(),
            "ece": CalibrationError(),
            "ece_floor": CalibrationNoiseFloor(),
            "auroc": AUROC(),
            "auarc": AUARC(),
        },
        prefix=prefix or None,
        # Sharing the states would save 16 bytes an answer; separate ones need no care in reset, clone and sync.
        compute_groups=False,
    )
