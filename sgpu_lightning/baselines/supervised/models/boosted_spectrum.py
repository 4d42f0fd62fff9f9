"""Gradient-boosted trees on SGPU's features."""

from __future__ import annotations

import numpy as np

from sgpu_lightning.baselines.supervised.supervised_baseline import Classifier, SupervisedBaseline


def _boosted_trees(labels: np.ndarray, groups: np.ndarray, seed: int) -> Classifier:
    from sklearn.ensemble import HistGradientBoostingClassifier

    # Small, slow trees, each split on part of the features: the library's defaults overfit a few hundred rows and rank
    # worse than logistic regression.
    return HistGradientBoostingClassifier(
        learning_rate=0.03, max_iter=100, max_leaf_nodes=6, max_features=0.3, early_stopping=False, random_state=seed
    )


ORDER = 2
BASELINE = SupervisedBaseline(
    name="boosted_spectrum",
    takes="features",
    definition="Gradient-boosted trees on the features",
    make=_boosted_trees,
)
