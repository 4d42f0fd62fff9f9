"""Baselines that are fitted on labelled answer sets, with scikit-learn: what the GP must justify itself against.

Each takes one row of numbers for each answer set and gives P(correct). ``logistic_spectrum`` and ``boosted_spectrum``
take SGPU's own features; ``linear_probe`` and ``saplma`` the scored answer's hidden state.

References:
    [Alain2017] Alain and Bengio, "Understanding intermediate layers using linear classifier probes", ICLR 2017
    workshop.
    [Azaria2023] Azaria and Mitchell, "The Internal State of an LLM Knows When It's Lying" (SAPLMA), Findings of EMNLP
    2023.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from sgpu_lightning.errors import SGPUError

C_GRID = tuple(10.0**k for k in range(-4, 3))
INNER_FOLDS = 5
SAPLMA_LAYERS = (256, 128, 64)
SAPLMA_EPOCHS, SAPLMA_BATCH = 5, 32


class SupervisedError(SGPUError):
    """Rows or labels that nothing can be fitted on."""


class _Classifier(Protocol):
    def fit(self, rows: Any, labels: Any, **kwargs: Any) -> Any: ...

    def predict_proba(self, rows: Any) -> Any: ...


@dataclass(frozen=True)
class SupervisedBaseline:
    """How to fit one.

    Args:
        name: Unique in ``SUPERVISED``.
        takes: ``features`` of SGPU, or the scored answer's ``hidden`` state.
        definition: One sentence.
        make: Gives an unfitted classifier for these labels and group numbers, int64 [n], and a seed.
    """

    name: str
    takes: Literal["features", "hidden"]
    definition: str
    make: Callable[[np.ndarray, np.ndarray, int], _Classifier]

    def fit(self, rows: Tensor, labels: Tensor, groups: Sequence[str] | None = None, seed: int = 0) -> FittedBaseline:
        """Fit on labelled answer sets.

        Args:
            rows: What it takes, one row for each set, [n, F], finite.
            labels: 1 the scored answer is right, 0 wrong, [n].
            groups: Which sets inner cross-validation must not split apart; None for each on its own.
            seed: Of what is random in fitting.

        Raises:
            SupervisedError: If rows and labels do not fit each other, are not finite, or are of one class.
        """
        table = _table(rows)
        if labels.shape != (len(table),):
            raise SupervisedError(f"labels: expected shape ({len(table)},), got {tuple(labels.shape)}")
        answers = labels.detach().cpu().numpy().astype(np.float64)
        if not np.isin(answers, (0, 1)).all() or len(np.unique(answers)) < 2:
            raise SupervisedError(
                f"labels: expected both 0 and 1 and nothing else, got {sorted(set(answers.tolist()))[:4]}; a "
                "classifier cannot be fitted on one class"
            )
        names = [str(i) for i in range(len(table))] if groups is None else groups
        if len(names) != len(table):
            raise SupervisedError(f"groups: expected {len(table)}, one for each row, got {len(names)}")
        classifier = self.make(answers, np.unique(names, return_inverse=True)[1], seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SAPLMA's five epochs do not converge, and are not meant to
            classifier.fit(table, answers.astype(int))
        return FittedBaseline(self.name, classifier, table.shape[1])


@dataclass(frozen=True)
class FittedBaseline:
    """A fitted supervised baseline.

    Args:
        name: Which one.
        classifier: Of scikit-learn.
        num_features: F, the length of the rows it takes.
    """

    name: str
    classifier: _Classifier
    num_features: int

    def predict(self, rows: Tensor) -> Tensor:
        """P(correct) of each row, [n, F] to float64 [n].

        Raises:
            SupervisedError: If the rows are of another length than those it was fitted on, or not finite.
        """
        table = _table(rows)
        if table.shape[1] != self.num_features:
            raise SupervisedError(
                f"{self.name}: expected rows of {self.num_features} numbers, as it was fitted on, got {table.shape[1]}"
            )
        return torch.from_numpy(np.asarray(self.classifier.predict_proba(table)[:, 1], dtype=np.float64))


def _table(rows: Tensor) -> np.ndarray:
    if rows.ndim != 2 or not len(rows):
        raise SupervisedError(f"rows: expected shape (n, F) with n > 0, got {tuple(rows.shape)}")
    table = rows.detach().cpu().double().numpy()
    if not np.isfinite(table).all():
        raise SupervisedError("rows: expected finite numbers, got NaN or infinity; leave sets out that lack an input")
    return table


def inner_folds(labels: np.ndarray, groups: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Up to 5 folds by group in which every training part has both classes; fewer where labels are few, else none."""
    from sklearn.model_selection import StratifiedGroupKFold

    most = min(INNER_FOLDS, len(np.unique(groups)), *np.bincount(labels.astype(int)).tolist())
    for folds in range(most, 1, -1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fold without a class is looked for below
            splits = list(StratifiedGroupKFold(folds).split(labels, labels, groups))
        if all(len(np.unique(labels[train])) == 2 and len(test) for train, test in splits):
            return splits
    return []


def _logistic(labels: np.ndarray, groups: np.ndarray, seed: int) -> _Classifier:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    folds = inner_folds(labels, groups)
    if not folds:
        return model  # too few to choose by: C = 1
    grid = {"logisticregression__C": list(C_GRID)}
    return GridSearchCV(model, grid, scoring=_mean_log_likelihood, cv=folds)


def _mean_log_likelihood(model: _Classifier, rows: np.ndarray, labels: np.ndarray) -> float:
    # scikit-learn's own scorer fails where a fold to score has one class.
    chance = np.clip(model.predict_proba(rows)[:, 1], 1e-7, 1 - 1e-7)
    return float(np.where(labels == 1, np.log(chance), np.log1p(-chance)).mean())


def _boosted(labels: np.ndarray, groups: np.ndarray, seed: int) -> _Classifier:
    from sklearn.ensemble import HistGradientBoostingClassifier

    # Small, slow trees on part of the features each: the library's defaults overfit some hundred rows, and rank worse
    # than logistic regression.
    return HistGradientBoostingClassifier(
        learning_rate=0.03, max_iter=100, max_leaf_nodes=6, max_features=0.3, early_stopping=False, random_state=seed
    )


def _saplma(labels: np.ndarray, groups: np.ndarray, seed: int) -> _Classifier:
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    network = MLPClassifier(
        SAPLMA_LAYERS, max_iter=SAPLMA_EPOCHS, batch_size=min(SAPLMA_BATCH, len(labels)), random_state=seed
    )
    return make_pipeline(StandardScaler(), network)


SUPERVISED: dict[str, SupervisedBaseline] = {
    baseline.name: baseline
    for baseline in (
        SupervisedBaseline(
            "logistic_spectrum",
            "features",
            "Logistic regression on standardised features, C by inner cross-validation",
            _logistic,
        ),
        SupervisedBaseline("boosted_spectrum", "features", "Gradient-boosted trees on the features", _boosted),
        SupervisedBaseline(
            "linear_probe",
            "hidden",
            "Logistic regression on the scored answer's hidden state, C by inner cross-validation [Alain2017]",
            _logistic,
        ),
        SupervisedBaseline(
            "saplma",
            "hidden",
            "A network of 256, 128 and 64 units on the scored answer's hidden state, five epochs [Azaria2023]",
            _saplma,
        ),
    )
}


def get_supervised(name: str) -> SupervisedBaseline:
    """The supervised baseline of that name.

    Raises:
        SupervisedError: If there is none, listing those there are.
    """
    if name not in SUPERVISED:
        raise SupervisedError(f"unknown supervised baseline '{name}', expected one of {', '.join(SUPERVISED)}")
    return SUPERVISED[name]
