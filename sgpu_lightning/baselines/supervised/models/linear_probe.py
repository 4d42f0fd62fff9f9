"""Logistic regression on the scored answer's hidden state.

References:
    [Alain2017] Alain and Bengio, "Understanding intermediate layers using linear classifier probes", ICLR 2017
    workshop.
"""

from __future__ import annotations

from sgpu_lightning.baselines.supervised.logistic_regression import logistic_regression
from sgpu_lightning.baselines.supervised.supervised_baseline import SupervisedBaseline

ORDER = 3
BASELINE = SupervisedBaseline(
    name="linear_probe",
    takes="hidden",
    definition="Logistic regression on the scored answer's hidden state, C by inner cross-validation [Alain2017]",
    make=logistic_regression,
)
