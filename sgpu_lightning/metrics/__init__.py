"""Calibration and discrimination of P(correct), as torchmetrics classes.

The classes are imported when first used, so that the registry and the pure functions do not need torchmetrics.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sgpu_lightning.metrics.calibration_metrics import (
        AdaptiveCalibrationError,
        CalibrationError,
        CalibrationNoiseFloor,
    )
    from sgpu_lightning.metrics.collection import probability_metrics
    from sgpu_lightning.metrics.metric_base import ProbabilityMetric
    from sgpu_lightning.metrics.proper_score_metrics import BrierScore, NegativeLogLikelihood
    from sgpu_lightning.metrics.ranking_metrics import AUARC, AURAC, AUROC
    from sgpu_lightning.metrics.selective_metrics import (
        AURC,
        AccuracyAtCoverage,
        CoverageAtRisk,
        PredictionRejectionRatio,
        RiskCoverageCurve,
    )

_MODULES = {
    "AUARC": "ranking_metrics",
    "AURAC": "ranking_metrics",
    "AURC": "selective_metrics",
    "AUROC": "ranking_metrics",
    "AccuracyAtCoverage": "selective_metrics",
    "AdaptiveCalibrationError": "calibration_metrics",
    "BrierScore": "proper_score_metrics",
    "CalibrationError": "calibration_metrics",
    "CalibrationNoiseFloor": "calibration_metrics",
    "CoverageAtRisk": "selective_metrics",
    "NegativeLogLikelihood": "proper_score_metrics",
    "PredictionRejectionRatio": "selective_metrics",
    "ProbabilityMetric": "metric_base",
    "RiskCoverageCurve": "selective_metrics",
    "probability_metrics": "collection",
}

__all__ = [
    "AUARC",
    "AURAC",
    "AURC",
    "AUROC",
    "AccuracyAtCoverage",
    "AdaptiveCalibrationError",
    "BrierScore",
    "CalibrationError",
    "CalibrationNoiseFloor",
    "CoverageAtRisk",
    "NegativeLogLikelihood",
    "PredictionRejectionRatio",
    "ProbabilityMetric",
    "RiskCoverageCurve",
    "probability_metrics",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'sgpu_lightning.metrics' has no attribute '{name}'")
    return getattr(import_module(f"sgpu_lightning.metrics.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
