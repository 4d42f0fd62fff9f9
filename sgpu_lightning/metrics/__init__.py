"""Calibration and discrimination of P(correct), as torchmetrics classes."""

from sgpu_lightning.metrics.calibration_metrics import AdaptiveCalibrationError, CalibrationError, CalibrationNoiseFloor
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
