"""The methods under comparison: each ranks answer sets it was not fitted on and gives their P(correct)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sgpu_lightning.baselines import SUPERVISED, SupervisedBaseline
from sgpu_lightning.evaluation.common.calibration_maps import isotonic, platt
from sgpu_lightning.evaluation.common.evaluation_set import EvaluationSet
from sgpu_lightning.features.extractor import mean_of
from sgpu_lightning.gp.frozen.frozen_gp import FrozenGP
from sgpu_lightning.gp.hyperparameters import fit_classifier

Kind = Literal["sgpu", "supervised", "unsupervised"]
PLAIN, DEFAULT = "sgpu_spectrum", "sgpu"


@dataclass(frozen=True)
class HeldOutPredictions:
    """Predictions of a method for n answer sets it was not fitted on.

    Args:
        rank: Confidence, higher for more confident, float64 [n]; AUROC and AUARC are computed from it.
        p_correct: P(correct), float64 [n]; Brier score, NLL and ECE are computed from it.
        platt: P(correct) by Platt's calibration where ``p_correct`` is by isotonic regression, else the same, float64
            [n].
    """

    rank: Tensor
    p_correct: Tensor
    platt: Tensor


@dataclass(frozen=True)
class Method:
    """A method that gives P(correct).

    Args:
        name: Unique name.
        kind: ``sgpu``, ``supervised``, or an ``unsupervised`` score that is calibrated on the training rows.
        predict: Function of an evaluation set, the rows to fit on, int64 [t], and the rows to predict, int64 [n].
    """

    name: str
    kind: Kind
    predict: Callable[[EvaluationSet, Tensor, Tensor], HeldOutPredictions]


def methods_for(data: EvaluationSet) -> list[Method]:
    """List every method whose inputs the answer sets have: SGPU first, then supervised, then unsupervised methods."""
    found = [_default(DEFAULT, data.blocks), _default(PLAIN, ["spectrum"])]
    found += [_supervised(one) for one in SUPERVISED.values() if one.takes == "features" or data.hidden is not None]
    complete = [name for name, values in data.scores.confidence.items() if not bool(values.isnan().any())]
    return found + [_score(name) for name in complete]


def _default(name: str, blocks: Sequence[str]) -> Method:
    # The paper's method is the spectrum under a constant mean.
    return gp_method(name, blocks, agreement=mean_of(blocks) == "agreement")


def gp_method(name: str, blocks: Sequence[str], *, agreement: bool = True, base: FrozenGP | None = None) -> Method:
    """Make the method that fits a GP on the training rows.

    Args:
        name: Name of the method.
        blocks: Feature blocks.
        agreement: Whether the prior mean is linear in the agreement features; False for a constant mean.
        base: A predictor fitted on other data, for a warm start; None for a cold start.
    """

    def predict(data: EvaluationSet, train: Tensor, test: Tensor) -> HeldOutPredictions:
        """Fit a GP on the training rows and predict the test rows."""
        features, widths = data.columns(blocks)
        signs = data.signs(blocks) if agreement else None
        classifier = fit_classifier(
            features[train],
            data.labels[train],
            widths,
            weight=data.weight(train, features),
            agreement=signs,
            warm_start=base,
        )
        p = classifier.freeze()(features[test]).p_correct
        return HeldOutPredictions(p, p, p)

    return Method(name, "sgpu", predict)


def base_method(name: str, base: FrozenGP) -> Method:
    """Make the method that uses a predictor fitted on other data unchanged; it uses no label of the training rows.

    Args:
        name: Name of the method.
        base: The predictor.
    """

    def predict(data: EvaluationSet, train: Tensor, test: Tensor) -> HeldOutPredictions:
        """Predict the test rows with the given predictor."""
        p = base(data.features[test]).p_correct
        return HeldOutPredictions(p, p, p)

    return Method(name, "sgpu", predict)


def _supervised(baseline: SupervisedBaseline) -> Method:
    def predict(data: EvaluationSet, train: Tensor, test: Tensor) -> HeldOutPredictions:
        """Fit the baseline on the training rows and predict the test rows."""
        rows = data.features if baseline.takes == "features" else data.hidden
        assert rows is not None
        groups = [data.groups[i] for i in train.tolist()]
        p = baseline.fit(rows[train], data.labels[train], groups).predict(rows[test])
        return HeldOutPredictions(p, p, p)

    return Method(baseline.name, "supervised", predict)


def _score(name: str) -> Method:
    def predict(data: EvaluationSet, train: Tensor, test: Tensor) -> HeldOutPredictions:
        """Calibrate the score on the training rows and predict the test rows."""
        values, labels = data.scores.confidence[name], data.labels[train]
        return HeldOutPredictions(
            values[test], isotonic(values[train], labels)(values[test]), platt(values[train], labels)(values[test])
        )

    return Method(name, "unsupervised", predict)


def cross_validate(method: Method, data: EvaluationSet, folds: Tensor) -> HeldOutPredictions:
    """Predict every answer set by the method fitted on the other folds.

    Args:
        method: The method.
        data: The evaluation set of n answer sets.
        folds: Fold of each answer set, int64 [n].
    """
    parts = [torch.zeros(len(data), dtype=torch.float64) for _ in range(3)]
    for fold in torch.unique(folds).tolist():
        train, test = (folds != fold).nonzero().squeeze(1), (folds == fold).nonzero().squeeze(1)
        found = method.predict(data, train, test)
        for part, values in zip(parts, (found.rank, found.p_correct, found.platt), strict=True):
            part[test] = values.double()
    return HeldOutPredictions(*parts)
