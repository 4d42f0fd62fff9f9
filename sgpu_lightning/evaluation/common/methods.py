"""What is compared: every method gives a ranking and a P(correct) of answer sets it was not fitted on."""

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
from sgpu_lightning.gp.frozen import FrozenGP
from sgpu_lightning.gp.hyperparameters import fit_classifier

Kind = Literal["sgpu", "supervised", "unsupervised"]
PLAIN, DEFAULT = "sgpu_spectrum", "sgpu"


@dataclass(frozen=True)
class Forecast:
    """What a method says of held-out answer sets; each float64 [n].

    Args:
        rank: Higher is more confident; what AUROC and AUARC are taken of.
        p_correct: What Brier, NLL and ECE are taken of.
        platt: P(correct) by Platt's calibration, where ``p_correct`` is by isotonic regression; else the same.
    """

    rank: Tensor
    p_correct: Tensor
    platt: Tensor


@dataclass(frozen=True)
class Method:
    """A way to P(correct).

    Args:
        name: Unique.
        kind: ``sgpu``, ``supervised``, or an ``unsupervised`` score calibrated on the training part.
        predict: From an evaluation set and the rows [t] to fit on, of the rows [n] to predict.
    """

    name: str
    kind: Kind
    predict: Callable[[EvaluationSet, Tensor, Tensor], Forecast]


def methods_for(data: EvaluationSet) -> list[Method]:
    """Every method the answer sets have the inputs for: SGPU first, then supervised, then unsupervised ones."""
    found = [_default(DEFAULT, data.blocks), _default(PLAIN, ["spectrum"])]
    found += [_supervised(one) for one in SUPERVISED.values() if one.takes == "features" or data.hidden is not None]
    complete = [name for name, values in data.scores.confidence.items() if not bool(values.isnan().any())]
    return found + [_score(name) for name in complete]


def _default(name: str, blocks: Sequence[str]) -> Method:
    # The paper's method is the spectrum under a constant mean.
    return gp_method(name, blocks, agreement=mean_of(blocks) == "agreement")


def gp_method(name: str, blocks: Sequence[str], *, agreement: bool = True, base: FrozenGP | None = None) -> Method:
    """A GP fitted on the training part.

    Args:
        name: Of the method.
        blocks: Feature blocks.
        agreement: Whether the mean goes by agreement; False for a constant mean.
        base: A predictor fitted elsewhere, for a warm start.
    """

    def predict(data: EvaluationSet, train: Tensor, test: Tensor) -> Forecast:
        """By a GP fitted on the training rows."""
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
        return Forecast(p, p, p)

    return Method(name, "sgpu", predict)


def base_method(name: str, base: FrozenGP) -> Method:
    """A predictor fitted elsewhere as it is: no label of the training part is used."""

    def predict(data: EvaluationSet, train: Tensor, test: Tensor) -> Forecast:
        """By the predictor as it is."""
        p = base(data.features[test]).p_correct
        return Forecast(p, p, p)

    return Method(name, "sgpu", predict)


def _supervised(baseline: SupervisedBaseline) -> Method:
    def predict(data: EvaluationSet, train: Tensor, test: Tensor) -> Forecast:
        """By the baseline fitted on the training rows."""
        rows = data.features if baseline.takes == "features" else data.hidden
        assert rows is not None
        groups = [data.groups[i] for i in train.tolist()]
        p = baseline.fit(rows[train], data.labels[train], groups).predict(rows[test])
        return Forecast(p, p, p)

    return Method(baseline.name, "supervised", predict)


def _score(name: str) -> Method:
    def predict(data: EvaluationSet, train: Tensor, test: Tensor) -> Forecast:
        """By the score itself, calibrated on the training rows."""
        values, labels = data.scores.confidence[name], data.labels[train]
        return Forecast(
            values[test], isotonic(values[train], labels)(values[test]), platt(values[train], labels)(values[test])
        )

    return Method(name, "unsupervised", predict)


def cross_validate(method: Method, data: EvaluationSet, folds: Tensor) -> Forecast:
    """Forecasts of every answer set by the method fitted on the other folds."""
    parts = [torch.zeros(len(data), dtype=torch.float64) for _ in range(3)]
    for fold in torch.unique(folds).tolist():
        train, test = (folds != fold).nonzero().squeeze(1), (folds == fold).nonzero().squeeze(1)
        forecast = method.predict(data, train, test)
        for part, values in zip(parts, (forecast.rank, forecast.p_correct, forecast.platt), strict=True):
            part[test] = values.double()
    return Forecast(*parts)
