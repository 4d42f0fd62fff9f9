"""Random draws of labelled answer sets for a learning curve, and predictors of other files for a warm start."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sgpu_lightning.data.splits import split_of
from sgpu_lightning.errors import EvaluationError
from sgpu_lightning.evaluation.common.evaluation_set import EvaluationSet
from sgpu_lightning.evaluation.common.evaluation_settings import LabelSettings
from sgpu_lightning.evaluation.curves.curve_points import whole_groups
from sgpu_lightning.gp.cluster_weights import design_effect_weights
from sgpu_lightning.gp.frozen.frozen_gp import FrozenGP
from sgpu_lightning.gp.hyperparameters import fit_classifier
from sgpu_lightning.seeding import generator_of

_ATTEMPTS = 20  # largest number of draws until both classes must have been drawn
_EVALUATED = 0.5  # proportion of groups that are evaluated on
_BASE_SETS = 8192  # number of answer sets of all other files together, about the same number from each file


class LabelSplit:
    """Split of a file into the answer sets that labels are drawn from (``pool``) and those that are evaluated on.

    A hash of a group's name decides in which of the two it is (see `split_of`), so it is the same in every file.

    Args:
        data: Evaluation set of the file.
        settings: Settings of the curve.

    Raises:
        EvaluationError: If the answer sets to evaluate on are of one class.
    """

    def __init__(self, data: EvaluationSet, settings: LabelSettings) -> None:
        self.data, self.settings = data, settings
        inside = torch.tensor([self.evaluates(group) for group in data.groups])
        self.pool, evaluated = (~inside).nonzero().squeeze(1), inside.nonzero().squeeze(1)
        if len(torch.unique(data.labels[evaluated])) < 2:
            raise EvaluationError(
                f"{data.name}: the {len(evaluated)} answer sets to evaluate on, those of about half of the groups, are "
                "of one class: expected right and wrong answers; give more labelled answer sets"
            )
        order = torch.randperm(len(evaluated), generator=generator_of(settings.seed))
        self.evaluated = evaluated[order[: settings.evaluate_on]]

    def evaluates(self, group: str) -> bool:
        """Whether a group is evaluated on, which holds for every file."""
        return split_of(group, 0.0, _EVALUATED, self.settings.seed) == "test"

    def draw(self, count: int, draw: int) -> tuple[Tensor, int] | None:
        """Draw whole groups at random until they hold a number of answer sets.

        A draw of a single class is drawn again. With the same ``draw``, a larger number of labels includes those of a
        smaller one.

        Args:
            count: Smallest number of labelled answer sets.
            draw: Number of the draw, which seeds it.

        Returns:
            The rows drawn, and the number of earlier draws of a single class; None where there are too few answer sets
            or all draws are of a single class.
        """
        groups = [self.data.groups[i] for i in self.pool.tolist()]
        for attempt in range(_ATTEMPTS if len(groups) >= count else 0):
            drawn = whole_groups(groups, count, generator_of(self.settings.seed, draw, attempt))
            rows = self.pool[drawn]
            if len(torch.unique(self.data.labels[rows])) == 2:
                return rows, attempt
        return None


def fit_base(
    target: EvaluationSet, sets: Sequence[EvaluationSet], without: Callable[[str], bool], seed: int = 0
) -> FrozenGP | None:
    """Fit a predictor on all evaluation sets but the target, with about the same number of answer sets of each.

    Args:
        target: Evaluation set that the predictor is for.
        sets: All evaluation sets.
        without: Whether to leave out a group.
        seed: Random seed of the choice of answer sets from a large file.

    Returns:
        The predictor; None where the remaining answer sets are none or of one class.
    """
    pools = [
        (one, [i for i, group in enumerate(one.groups) if not without(group)]) for one in sets if one is not target
    ]
    pools = [(one, rows) for one, rows in pools if rows]
    features, labels, groups = [], [], []
    for one, kept in pools:
        most = -(-_BASE_SETS // len(pools))
        rows = torch.tensor(kept)[torch.randperm(len(kept), generator=generator_of(seed))[:most]]
        features.append(one.features[rows])
        labels.append(one.labels[rows])
        groups.append(one.variants[rows])
    if not labels or len(torch.unique(torch.cat(labels))) < 2:
        return None
    x, y = torch.cat(features), torch.cat(labels)
    weight = design_effect_weights(torch.cat(groups), y, x)
    fitted = fit_classifier(x, y, target.widths, weight=weight, agreement=target.agreement)
    return fitted.freeze()
