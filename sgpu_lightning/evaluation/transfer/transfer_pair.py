"""Transfer: P(correct) fitted on sources, evaluated on a target whose questions the fit never saw.

What is said of a target with none of its labels, with what its unlabelled answer sets alone tell, and with a few
labels, beside what a fit on the target itself reaches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sgpu_lightning.evaluation.common.evaluation_settings import TransferSettings
from sgpu_lightning.evaluation.common.folds import require_both_classes
from sgpu_lightning.evaluation.transfer.few_labels import few_label_map
from sgpu_lightning.evaluation.transfer.label_shift import correct_label_shift
from sgpu_lightning.evaluation.transfer.measure import METRICS, Measure, Run, Setting
from sgpu_lightning.evaluation.transfer.plan import Pair
from sgpu_lightning.evaluation.transfer.source_fits import SourceFits

IN_MODEL, ZERO, ALIGNED, SHIFT = "in-model", "zero labels", "aligned", "label shift"
MAP, WARM = "map", "warm start"  # with some of the target's labels


@dataclass(frozen=True, kw_only=True)
class TransferResult:
    """One pair.

    Args:
        pair: Source and target.
        sets: Labelled answer sets of the target.
        accuracy: Share of them that are right.
        source_accuracy: Of the source's.
        estimated_accuracy: Of the target, by label shift; None in-model.
        settings: In-model first.
        left_out: Settings that could not be measured, and why.
        folds: Of the target, int64 [n].
    """

    pair: Pair
    sets: int
    accuracy: float
    source_accuracy: float
    estimated_accuracy: float | None
    settings: list[Setting]
    left_out: list[str]
    folds: Tensor = field(repr=False)

    def get(self, name: str, labels: int | None = None) -> Setting | None:
        """The setting of that name and number of labels; None where it was left out."""
        return next((one for one in self.settings if one.name == name and labels in (None, one.labels)), None)


def transfer(pair: Pair, fits: SourceFits) -> TransferResult:
    """Measure one pair in every setting.

    Args:
        pair: Source and target, checked by `check_pair`.
        fits: Of the sets that are there.

    Raises:
        EvaluationError: If a fold of the target has a single class.
    """
    settings, target, folds = fits.settings, fits.sets[pair.target], fits.folds[pair.target]
    require_both_classes(folds, target.labels, settings.folds, pair.target)
    in_model = fits.predict((pair.target,), pair.target, cross_fit=True)
    measure = Measure(target, folds, in_model, settings)
    found = [measure(IN_MODEL, -1, [_all(in_model)])]
    source_accuracy = float(torch.cat([fits.sets[name].labels for name in pair.sources]).mean())
    estimated, left_out = None, []
    if not pair.in_model:
        cross_fit = settings.shared_questions == "cross_fit"
        zero = fits.predict(pair.sources, pair.target, cross_fit=cross_fit)
        aligned = fits.predict(pair.sources, pair.target, aligned=True, cross_fit=cross_fit)
        shifted, estimated = correct_label_shift(aligned, source_accuracy, settings.caution)
        for name, p_correct in ((ZERO, zero), (ALIGNED, aligned), (SHIFT, shifted)):
            found.append(measure(name, 0, [_all(p_correct)]))
        for count in settings.labels:
            drawn = list(draw_labels(folds, count, settings))
            if not drawn:
                fewest = int(torch.bincount(folds).min())
                left_out.append(f"{count} labels: a fold of {pair.target} has only {fewest} answer sets to draw from")
                continue
            found.append(measure(MAP, count, [_map_run(shifted, target.labels, *rows) for rows in drawn]))
            found.append(measure(WARM, count, [fits.warm_run(pair, *rows) for rows in drawn]))
    return TransferResult(
        pair=pair,
        sets=len(target),
        accuracy=target.accuracy,
        source_accuracy=source_accuracy,
        estimated_accuracy=estimated,
        settings=found,
        left_out=left_out,
        folds=folds,
    )


def draw_labels(folds: Tensor, count: int, settings: TransferSettings) -> Iterator[tuple[Tensor, Tensor]]:
    """Draw labelled answer sets from one fold after another; the other folds are evaluated on.

    The first 25 of 50 drawn are the 25 drawn alone, so that more labels are compared with fewer on like draws.

    Args:
        folds: Of the target's answer sets, int64 [n].
        count: k, how many to draw.
        settings: Folds, draws and seed.

    Yields:
        Rows that are labelled [k], and rows to evaluate [m]; nothing if a fold has fewer than k.
    """
    if int(torch.bincount(folds, minlength=settings.folds).min()) < count:
        return
    for draw in range(settings.draws):
        for fold in range(settings.folds):
            generator = torch.Generator().manual_seed((settings.seed << 20) + draw * settings.folds + fold)
            inside = (folds == fold).nonzero().squeeze(1)
            yield inside[torch.randperm(len(inside), generator=generator)[:count]], (folds != fold).nonzero().squeeze(1)


def _map_run(p_correct: Tensor, labels: Tensor, drawn: Tensor, others: Tensor) -> Run:
    return Run(others, few_label_map(p_correct[drawn], labels[drawn])(p_correct[others]))


def _all(p_correct: Tensor) -> Run:
    return Run(torch.arange(len(p_correct)), p_correct)


def rows_of(result: TransferResult) -> list[Mapping[str, Any]]:
    """One row for each setting, for tables and files."""
    rows: list[Mapping[str, Any]] = []
    for one in result.settings:
        test = {
            f"{metric}_{part}": getattr(one.less_in_model[metric], part)
            for metric in METRICS
            for part in ("difference", "low", "high", "p_value")
        }
        rows.append(
            {"source": result.pair.source, "target": result.pair.target, "setting": one.name, "labels": one.labels}
            | {"n": result.sets, "accuracy": result.accuracy, "source_accuracy": result.source_accuracy}
            | one.metrics
            | test
        )
    return rows
