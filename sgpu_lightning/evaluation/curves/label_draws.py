"""What a curve over labels is fitted and evaluated on: labelled sets by draw, and other files for a warm start."""

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
from sgpu_lightning.gp.frozen import FrozenGP
from sgpu_lightning.gp.hyperparameters import fit_classifier
from sgpu_lightning.seeding import generator_of

_ATTEMPTS = 20
_EVALUATED = 0.5  # share of groups
_BASE_SETS = 8192  # of all other files together, about as many of each


class Halves:
    """The answer sets of a file to draw labels from, and those to evaluate on.

    A group's half is a hash of its name, see `split_of`: the same in every file.

    Args:
        data: The file.
        settings: What with.

    Raises:
        EvaluationError: If the sets to evaluate on are of one class.
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
        """Whether a group is evaluated on, in whatever file."""
        return split_of(group, 0.0, _EVALUATED, self.settings.seed) == "test"

    def draw(self, count: int, draw: int) -> tuple[Tensor, int] | None:
        """Rows of groups drawn at random until ``count`` answer sets are labelled.

        A draw of a single class is drawn again. With the same ``draw``, more labels hold those of fewer.

        Returns:
            The rows, and how many draws before were of a single class; None where there are fewer sets, or all draws
            are of a single class.
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
    """A predictor fitted on all sets but the target, about as many answer sets of each.

    Args:
        target: What it is for.
        sets: All sets.
        without: Whether a group is left out.
        seed: Of which answer sets are taken of a large file.

    Returns:
        None where nothing is left to fit on.
    """
    pools = [
        (one, [i for i, group in enumerate(one.groups) if not without(group)]) for one in sets if one is not target
    ]
    pools = [(one, rows) for one, rows in pools if rows]
    features, labels, groups = [], [], []
    for one, kept in pools:
        share = -(-_BASE_SETS // len(pools))
        rows = torch.tensor(kept)[torch.randperm(len(kept), generator=generator_of(seed))[:share]]
        features.append(one.features[rows])
        labels.append(one.labels[rows])
        groups.append(one.variants[rows])
    if not labels or len(torch.unique(torch.cat(labels))) < 2:
        return None
    x, y = torch.cat(features), torch.cat(labels)
    weight = design_effect_weights(torch.cat(groups), y, x)
    fitted = fit_classifier(x, y, target.widths, weight=weight, agreement=target.agreement)
    return fitted.freeze()
