"""Logistic regression on standardised rows, with its penalty chosen by cross-validation that keeps groups together."""

from __future__ import annotations

import warnings

import numpy as np

from sgpu_lightning.baselines.supervised.supervised_baseline import Classifier

C_GRID = tuple(10.0**k for k in range(-4, 3))
INNER_FOLDS = 5


def logistic_regression(labels: np.ndarray, groups: np.ndarray, seed: int) -> Classifier:
    """Make an unfitted logistic regression that chooses C from `C_GRID` by the mean log-likelihood on `inner_folds`.

    Args:
        labels: 1 the scored answer is right, 0 wrong, [n].
        groups: Number of each answer set's group, int64 [n].
        seed: Not used; nothing in the fit is random.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    folds = inner_folds(labels, groups)
    if not folds:
        return model  # too few sets to choose C, which stays at 1
    grid = {"logisticregression__C": list(C_GRID)}
    return GridSearchCV(model, grid, scoring=_mean_log_likelihood, cv=folds)


def inner_folds(labels: np.ndarray, groups: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut labelled answer sets into folds by group such that every training part has both classes.

    Args:
        labels: 1 the scored answer is right, 0 wrong, [n].
        groups: Number of each answer set's group, int64 [n].

    Returns:
        Training and test indices of up to 5 folds; fewer folds if labels are few, and none if even two are impossible.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    most = min(INNER_FOLDS, len(np.unique(groups)), *np.bincount(labels.astype(int)).tolist())
    for folds in range(most, 1, -1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # folds without a class are checked for below
            splits = list(StratifiedGroupKFold(folds).split(labels, labels, groups))
        if all(len(np.unique(labels[train])) == 2 and len(test) for train, test in splits):
            return splits
    return []


def _mean_log_likelihood(model: Classifier, rows: np.ndarray, labels: np.ndarray) -> float:
    # scikit-learn's own scorer fails if a test fold has one class.
    probability = np.clip(model.predict_proba(rows)[:, 1], 1e-7, 1 - 1e-7)
    return float(np.where(labels == 1, np.log(probability), np.log1p(-probability)).mean())
