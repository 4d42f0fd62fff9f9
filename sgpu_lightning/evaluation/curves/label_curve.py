"""Learning curve over labels: SGPU, warm-started SGPU and every other score on the same labelled answer sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sgpu_lightning.evaluation.common.evaluation_set import EvaluationSet
from sgpu_lightning.evaluation.common.evaluation_settings import LabelSettings
from sgpu_lightning.evaluation.common.methods import Method, base_method, gp_method, methods_for
from sgpu_lightning.evaluation.curves.curve_points import Point, mean_of_metrics, measure
from sgpu_lightning.evaluation.curves.label_draws import LabelSplit, fit_base

CONSTANT, WARM, ZERO = "sgpu_constant", "sgpu_warm", "sgpu_zero"
KNOWN = "_known"  # suffix of a warm start from files that hold answers to questions of the same benchmark


@dataclass
class LabelCurve:
    """Learning curves of several files, added one after another.

    Args:
        sets: Evaluation sets of all files.
        settings: Settings of the curve.
        points: Points measured so far.
        notes: Messages about draws and methods that were left out.
    """

    sets: Sequence[EvaluationSet]
    settings: LabelSettings
    points: list[Point] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, data: EvaluationSet) -> None:
        """Measure every method on one of the files at every number of labels.

        Args:
            data: One of ``sets``.

        Raises:
            EvaluationError: If the answer sets to evaluate on are of one class.
        """
        split = LabelSplit(data, self.settings)
        methods = self._methods(split)
        for count in self.settings.labels:
            draws = [split.draw(count, draw) for draw in range(self.settings.draws)]
            kept = [draw for draw in draws if draw is not None]
            self._note_draws(split, count, left_out=len(draws) - len(kept), redrawn=sum(again for _, again in kept))
            for method in methods if kept else []:
                rows = [
                    measure(method.predict(data, labelled, split.evaluated), data.labels[split.evaluated])
                    for labelled, _ in kept
                ]
                self.points.append(
                    Point(
                        set=data.name, size=count, method=method.name, kind=method.kind, metrics=mean_of_metrics(rows)
                    )
                )

    def _note_draws(self, split: LabelSplit, count: int, *, left_out: int, redrawn: int) -> None:
        name = split.data.name
        if left_out:
            self.notes.append(
                f"{name}: {left_out} of {self.settings.draws} draws of {count} labels were left out: "
                f"there are {len(split.pool)} answer sets to draw from, and both classes are needed"
            )
        if redrawn:
            self.notes.append(f"{name}: {redrawn} draws of {count} labels of one class were drawn again")

    def _methods(self, split: LabelSplit) -> list[Method]:
        data, own = split.data, set(split.data.groups)
        found = [*methods_for(data), gp_method(CONSTANT, data.blocks, agreement=False)]
        if not self.settings.warm_start:
            return found
        bases = {"": fit_base(data, self.sets, own.__contains__, self.settings.seed)}
        bases[KNOWN] = bases[""]
        if any(not own.isdisjoint(one.groups) for one in self.sets if one is not data):
            evaluated = {group for group in own if split.evaluates(group)}
            bases[KNOWN] = fit_base(data, self.sets, evaluated.__contains__, self.settings.seed)
        for suffix, base in bases.items():
            if base is None:
                self.notes.append(f"{data.name}: the other files have nothing to fit {WARM}{suffix} on")
            else:
                found += [gp_method(WARM + suffix, data.blocks, base=base), base_method(ZERO + suffix, base)]
        return found


def against_best(mean: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Subtract the best unsupervised score from each method of SGPU, at each number of labels.

    The best score is chosen with hindsight by its mean over the files, once by AUROC and once by Brier score.

    Args:
        mean: Rows of `mean_over_sets`.
    """
    rows = []
    for count in dict.fromkeys(row["labels"] for row in mean):
        here = [row for row in mean if row["labels"] == count]
        scores = [row for row in here if row["kind"] == "unsupervised"]
        if not scores:
            continue
        by_auroc = max(scores, key=lambda row: row["auroc"])
        by_brier = min(scores, key=lambda row: row["brier"])
        for row in here:
            if row["kind"] == "sgpu":
                rows.append(
                    {"labels": count, "method": row["method"], "best by AUROC": by_auroc["method"]}
                    | {"auroc_difference": row["auroc"] - by_auroc["auroc"], "best by Brier": by_brier["method"]}
                    | {"brier_difference": row["brier"] - by_brier["brier"]}
                )
    return rows


def shorten(mean: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """Keep the rows of SGPU, of the supervised baselines, and of the best unsupervised scores.

    Args:
        mean: Rows of `mean_over_sets`.
        most: Number of unsupervised scores to keep, the best by AUROC over all numbers of labels.
    """
    totals: dict[str, float] = {}
    for row in mean:
        if row["kind"] == "unsupervised":
            totals[row["method"]] = totals.get(row["method"], 0.0) + row["auroc"]
    best = sorted(totals, key=lambda name: -totals[name])[:most]
    return [row for row in mean if row["kind"] != "unsupervised" or row["method"] in best]
