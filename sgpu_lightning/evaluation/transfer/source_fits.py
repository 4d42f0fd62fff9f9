"""Predictors fitted on pooled sources, with and without a fold, and their predictions of a target."""

from __future__ import annotations

import torch
from torch import Tensor

from sgpu_lightning.errors import EvaluationError
from sgpu_lightning.evaluation.common.evaluation_settings import TransferSettings
from sgpu_lightning.evaluation.common.folds import hashed_folds
from sgpu_lightning.evaluation.transfer.measure import Run
from sgpu_lightning.evaluation.transfer.plan import Pair, Sets
from sgpu_lightning.features.standardisation import standardised
from sgpu_lightning.gp.cluster_weights import design_effect_weights
from sgpu_lightning.gp.frozen.frozen_gp import FrozenGP
from sgpu_lightning.gp.hyperparameters import fit_classifier


class SourceFits:
    """GPs fitted on pooled sources; each is fitted once and kept.

    Args:
        sets: Evaluation sets by name.
        settings: Settings of the transfer.

    Raises:
        EvaluationError: If a set has fewer groups than folds.
    """

    def __init__(self, sets: Sets, settings: TransferSettings) -> None:
        self.sets, self.settings = sets, settings
        self.folds = {name: hashed_folds(one.groups, settings.folds, settings.seed) for name, one in sets.items()}
        self.features: dict[bool, dict[str, Tensor]] = {
            False: {name: one.features for name, one in sets.items()},
            True: {name: standardised(one.features) for name, one in sets.items()},
        }
        self._fitted: dict[tuple[tuple[str, ...], int | None, bool], FrozenGP] = {}

    def get(self, names: tuple[str, ...], without: int | None, *, aligned: bool = False) -> FrozenGP:
        """Return the GP fitted on some evaluation sets.

        Args:
            names: Names of the evaluation sets, which are pooled.
            without: The fold that is left out of each; None to fit on all answer sets.
            aligned: Whether each evaluation set's features are standardised on their own.

        Raises:
            EvaluationError: If the answer sets to fit on are of one class.
        """
        key = (names, without, aligned)
        if key not in self._fitted:
            kept = {name: self.folds[name] != (-1 if without is None else without) for name in names}
            features = torch.cat([self.features[aligned][name][rows] for name, rows in kept.items()])
            labels = torch.cat([self.sets[name].labels[rows] for name, rows in kept.items()])
            if len(torch.unique(labels)) < 2:
                raise EvaluationError(
                    f"source {', '.join(names)}: {len(labels)} answer sets to fit on are of one class: expected right "
                    "and wrong answers; give more labelled answer sets"
                )
            first = self.sets[names[0]]
            groups = torch.cat([self.sets[name].variants[rows] for name, rows in kept.items()])
            weight = design_effect_weights(groups, labels, features)
            fitted = fit_classifier(features, labels, first.widths, weight=weight, agreement=first.agreement)
            self._fitted[key] = fitted.freeze()
        return self._fitted[key]

    def predict(self, names: tuple[str, ...], target: str, *, aligned: bool = False, cross_fit: bool) -> Tensor:
        """Predict P(correct) of every answer set of the target, float64 [n].

        Args:
            names: Names of the evaluation sets to fit on, which are pooled.
            target: Name of the target.
            aligned: Whether each evaluation set's features are standardised on their own.
            cross_fit: True to predict each fold by the fit without it; False to predict all by one fit on everything.
        """
        features, folds = self.features[aligned][target], self.folds[target]
        if not cross_fit:
            return self.get(names, None, aligned=aligned)(features).p_correct
        p_correct = torch.zeros(len(folds), dtype=torch.float64)
        for fold in range(self.settings.folds):
            rows = folds == fold
            p_correct[rows] = self.get(names, fold, aligned=aligned)(features[rows]).p_correct
        return p_correct

    def warm_run(self, pair: Pair, drawn: Tensor, others: Tensor) -> Run:
        """Predict P(correct) by GPs fitted on a few target labels, with the aligned source's latent mean as prior mean.

        Args:
            pair: Source and target.
            drawn: Labelled rows of the target, int64 [k].
            others: Rows of other folds to predict, int64 [m]. Where questions are shared, each fold is predicted by a
                warm start from the source without that fold.
        """
        target, features, folds = self.sets[pair.target], self.features[True][pair.target], self.folds[pair.target]
        cross_fit = self.settings.shared_questions == "cross_fit"
        p_correct = torch.zeros(len(folds), dtype=torch.float64)
        for fold in torch.unique(folds[others]).tolist() if cross_fit else [None]:
            source = self.get(pair.sources, fold, aligned=True)
            fitted = fit_classifier(
                features[drawn],
                target.labels[drawn],
                target.widths,
                weight=target.weight(drawn, features),
                warm_start=source,
            )
            rows = others if fold is None else others[folds[others] == fold]
            p_correct[rows] = fitted.freeze()(features[rows]).p_correct
        return Run(others, p_correct[others])
