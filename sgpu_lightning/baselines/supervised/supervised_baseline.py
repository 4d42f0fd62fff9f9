"""Fitting and prediction that all supervised baselines share, with checks of rows and labels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from sgpu_lightning.errors import SGPUError


class SupervisedError(SGPUError):
    """Rows or labels on which no baseline can be fitted, or an unknown baseline."""


class Classifier(Protocol):
    """A classifier with the interface of scikit-learn."""

    def fit(self, rows: Any, labels: Any, **kwargs: Any) -> Any:
        """Fit on rows [n, F] and labels [n]."""
        ...

    def predict_proba(self, rows: Any) -> Any:
        """Probability of each class, [n, 2]."""
        ...


@dataclass(frozen=True)
class SupervisedBaseline:
    """A supervised baseline that can be fitted.

    Args:
        name: Name of the baseline, unique in ``SUPERVISED``.
        takes: Rows it is fitted on: SGPU's ``features``, or the scored answer's ``hidden`` state.
        definition: The method, in one sentence.
        make: Makes an unfitted classifier from labels [n], numbers of the sets' groups, int64 [n], and a seed.
    """

    name: str
    takes: Literal["features", "hidden"]
    definition: str
    make: Callable[[np.ndarray, np.ndarray, int], Classifier]

    def fit(self, rows: Tensor, labels: Tensor, groups: Sequence[str] | None = None, seed: int = 0) -> FittedBaseline:
        """Fit on labelled answer sets.

        Args:
            rows: One row for each set, finite, [n, F]; see ``takes``.
            labels: 1 the scored answer is right, 0 wrong, [n].
            groups: Group of each set; inner cross-validation keeps groups together. None for one group for each set.
            seed: Random seed of the fit.

        Raises:
            SupervisedError: If rows and labels differ in number, rows are not finite, or labels are of one class.
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
            warnings.simplefilter("ignore")  # SAPLMA's five epochs do not converge, by design
            classifier.fit(table, answers.astype(int))
        return FittedBaseline(self.name, classifier, table.shape[1])


@dataclass(frozen=True)
class FittedBaseline:
    """A fitted supervised baseline.

    Args:
        name: Name of the baseline.
        classifier: The fitted classifier of scikit-learn.
        num_features: Length F of the rows it was fitted on.
    """

    name: str
    classifier: Classifier
    num_features: int

    def predict(self, rows: Tensor) -> Tensor:
        """Predict P(correct) of each row.

        Args:
            rows: One row for each set, finite, [n, F].

        Returns:
            Float64 [n].

        Raises:
            SupervisedError: If rows differ in length from those it was fitted on, or are not finite.
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
        raise SupervisedError("rows: expected finite numbers, got NaN or infinity; leave out sets that lack an input")
    return table
