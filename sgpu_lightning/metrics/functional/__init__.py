"""Pure functions of the metrics (P(correct) and labels in, a float64 scalar out), and the bootstrap of every metric."""

from sgpu_lightning.metrics.functional.bootstrap_results import Comparison, Interval
from sgpu_lightning.metrics.functional.calibration import (
    adaptive_calibration_error,
    calibration_error,
    calibration_noise_floor,
    expected_calibration_error,
)
from sgpu_lightning.metrics.functional.checks import unit_ranks
from sgpu_lightning.metrics.functional.proper_scores import brier_score, negative_log_likelihood
from sgpu_lightning.metrics.functional.ranking import auarc, aurac, auroc
from sgpu_lightning.metrics.functional.resampling import bootstrap, bootstrap_interval, paired_bootstrap
from sgpu_lightning.metrics.functional.selective import (
    accuracy_at_coverage,
    aurc,
    coverage_at_risk,
    prediction_rejection_ratio,
    risk_coverage_curve,
)

__all__ = [
    "Comparison",
    "Interval",
    "accuracy_at_coverage",
    "adaptive_calibration_error",
    "auarc",
    "aurac",
    "aurc",
    "auroc",
    "bootstrap",
    "bootstrap_interval",
    "brier_score",
    "calibration_error",
    "calibration_noise_floor",
    "coverage_at_risk",
    "expected_calibration_error",
    "negative_log_likelihood",
    "paired_bootstrap",
    "prediction_rejection_ratio",
    "risk_coverage_curve",
    "unit_ranks",
]
