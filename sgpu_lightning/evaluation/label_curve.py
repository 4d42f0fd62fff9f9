"""How good P(correct) is with few labels: SGPU, warm-started SGPU and every other score on the same labelled sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sgpu_lightning.evaluation.curves import Point, Reading, check_sizes, mean_of_metrics, measure, whole_groups
from sgpu_lightning.evaluation.evalset import EvaluationSet
from sgpu_lightning.evaluation.methods import Method, base_method, gp_method, methods_for
from sgpu_lightning.frozen import FrozenGP
from sgpu_lightning.gp import fit_classifier
from sgpu_lightning.seeding import generator_of

CONSTANT, WARM, ZERO = "sgpu_constant", "sgpu_warm", "sgpu_zero"
_ATTEMPTS = 20
_FEWEST = 100  # answer sets to evaluate on


@dataclass(frozen=True, kw_only=True)
class LabelSettings(Reading):
    """What a curve over labels is made with.

    Args:
        labels: Numbers of labelled answer sets to fit on.
        draws: How often they are drawn; metrics are averaged.
        warm_start: Whether predictors fitted on the other files are tried as well.
        evaluate_on: At most so many of the other answer sets, drawn at random.
        seed: Of all that is drawn.
    """

    labels: list[int] = field(default_factory=lambda: [50, 100, 200, 500])
    draws: int = 5
    warm_start: bool = True
    evaluate_on: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        check_sizes("labels", self.labels, 2)
        check_sizes("draws", [self.draws], 1)


@dataclass(frozen=True)
class Draw:
    """Labelled answer sets and those to evaluate on; no group stands on both sides.

    Args:
        labelled: Rows, [k'], where k' >= k since groups are whole.
        others: Rows, [m].
        redrawn: How many draws before this one were of a single class.
    """

    labelled: Tensor
    others: Tensor
    redrawn: int


def draw_sets(data: EvaluationSet, count: int, draw: int, settings: LabelSettings) -> Draw | None:
    """Draw groups at random until ``count`` answer sets are labelled; a draw of a single class is drawn again.

    With the same ``draw``, more labels hold those of fewer.

    Returns:
        None where too few others are left to evaluate on, they are of one class, or so is every draw.
    """
    for attempt in range(_ATTEMPTS):
        generator = generator_of(settings.seed, draw, attempt)
        inside = whole_groups(data.groups, count, generator)
        labelled, others = inside.nonzero().squeeze(1), (~inside).nonzero().squeeze(1)
        others = others[torch.randperm(len(others), generator=generator)[: settings.evaluate_on]]
        if len(others) < _FEWEST or len(torch.unique(data.labels[others])) < 2:
            return None
        if len(torch.unique(data.labels[labelled])) == 2:
            return Draw(labelled, others, attempt)
    return None


def fit_base(target: EvaluationSet, sets: Sequence[EvaluationSet]) -> FrozenGP | None:
    """A predictor fitted on all sets but the target, pooled, without the target's groups.

    Returns:
        None where nothing is left to fit on.
    """
    own = set(target.groups)
    features, labels = [], []
    for one in sets:
        kept = torch.tensor([group not in own for group in one.groups])
        if one is not target and bool(kept.any()):
            features.append(one.features[kept])
            labels.append(one.labels[kept])
    if not labels or len(torch.unique(torch.cat(labels))) < 2:
        return None
    fitted = fit_classifier(torch.cat(features), torch.cat(labels), target.widths, agreement=target.agreement)
    return fitted.freeze()


@dataclass
class LabelCurve:
    """Curves of one file after another.

    Args:
        sets: All files.
        settings: What with.
    """

    sets: Sequence[EvaluationSet]
    settings: LabelSettings
    points: list[Point] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, data: EvaluationSet) -> None:
        """Measure every method on one of the files at every number of labels."""
        methods = self._methods(data)
        for count in self.settings.labels:
            draws = [draw_sets(data, count, draw, self.settings) for draw in range(self.settings.draws)]
            kept = [draw for draw in draws if draw is not None]
            if len(kept) < len(draws):
                self.notes.append(
                    f"{data.name}: {len(draws) - len(kept)} of {len(draws)} draws of {count} labels were left out: "
                    f"fewer than {_FEWEST} answer sets are left to evaluate on, or labels are of one class"
                )
            if redrawn := sum(draw.redrawn for draw in kept):
                self.notes.append(f"{data.name}: {redrawn} draws of {count} labels of one class were drawn again")
            if kept:
                self.points += [_point(data, count, method, kept) for method in methods]

    def _methods(self, data: EvaluationSet) -> list[Method]:
        found = [*methods_for(data), gp_method(CONSTANT, data.blocks, agreement=False)]
        base = fit_base(data, self.sets) if self.settings.warm_start else None
        if base is not None:
            found += [gp_method(WARM, data.blocks, base=base), base_method(ZERO, base)]
        elif self.settings.warm_start:
            self.notes.append(f"{data.name}: no other file has questions of its own to fit on, so there is no {WARM}")
        return found


def _point(data: EvaluationSet, count: int, method: Method, draws: Sequence[Draw]) -> Point:
    rows = [measure(method.predict(data, draw.labelled, draw.others), data.labels[draw.others]) for draw in draws]
    return Point(set=data.name, size=count, method=method.name, kind=method.kind, metrics=mean_of_metrics(rows))


def against_best(mean: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each method of SGPU less the best unsupervised score, at each number of labels.

    The best is chosen with hindsight by its mean over the files, once by AUROC and once by Brier score.

    Args:
        mean: Rows of `mean_over_sets`.
    """
    rows = []
    for count in dict.fromkeys(row["labels"] for row in mean):
        here = [row for row in mean if row["labels"] == count]
        scores = [row for row in here if row["kind"] == "unsupervised"]
        if not scores:
            continue
        first = max(scores, key=lambda row: row["auroc"])
        sharpest = min(scores, key=lambda row: row["brier"])
        for row in here:
            if row["kind"] == "sgpu":
                rows.append(
                    {"labels": count, "method": row["method"], "best by AUROC": first["method"]}
                    | {"auroc_difference": row["auroc"] - first["auroc"], "best by Brier": sharpest["method"]}
                    | {"brier_difference": row["brier"] - sharpest["brier"]}
                )
    return rows


def shorten(mean: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Rows of SGPU and the supervised baselines, and of the ``most`` best unsupervised scores by AUROC over all sizes.

    Args:
        mean: Rows of `mean_over_sets`.
        most: Unsupervised scores that are kept.
    """
    totals: dict[str, float] = {}
    for row in mean:
        if row["kind"] == "unsupervised":
            totals[row["method"]] = totals.get(row["method"], 0.0) + row["auroc"]
    best = sorted(totals, key=lambda name: -totals[name])[:most]
    return [row for row in mean if row["kind"] != "unsupervised" or row["method"] in best]
