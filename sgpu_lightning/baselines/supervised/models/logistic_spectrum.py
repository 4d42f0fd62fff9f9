"""Logistic regression on SGPU's features."""

from __future__ import annotations

from sgpu_lightning.baselines.supervised.logistic_regression import logistic_regression
from sgpu_lightning.baselines.supervised.supervised_baseline import SupervisedBaseline

ORDER = 1
BASELINE = SupervisedBaseline(
    name="logistic_spectrum",
    takes="features",
    definition="Logistic regression on standardised features, C by inner cross-validation",
    make=logistic_regression,
)
