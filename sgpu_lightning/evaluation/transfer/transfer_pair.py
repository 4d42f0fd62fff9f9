"""Transfer of P(correct) from the sources it is fitted on to a target whose questions the fit has not seen.

A target is evaluated with none of its labels, with its unlabelled answer sets alone, and with a few labels. Each is
compared with an in-domain fit on the target itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sgpu_lightning.evaluation.common.evaluation_settings import TransferSettings
from sgpu_lightning.evaluation.common.folds import require_both_classes
from sgpu_lightning.evaluation.transfer.few_labels import few_label_map
from sgpu_lightning.evaluation.transfer.label_shift import correct_label_shift
from sgpu_lightning.evaluation.transfer.measure import Measure, Run, Setting
from sgpu_lightning.evaluation.transfer.plan import Pair
from sgpu_lightning.evaluation.transfer.source_fits import SourceFits

IN_DOMAIN, ZERO_SHOT, ALIGNED, SHIFT = "in-domain", "zero-shot", "aligned", "label shift"
MAP, WARM = "map", "warm start"  # settings with some of the target's labels


@dataclass(frozen=True, kw_only=True)
class TransferResult:
    """Results of one pair.

    Args:
        pair: Source and target.
        sets: Number of labelled answer sets of the target.
        accuracy: Proportion of right answers in the target.
        source_accuracy: Proportion of right answers in the sources.
        estimated_accuracy: Proportion of right answers in the target as estimated by label shift; None for an in-domain
            pair.
        settings: Results of each setting, in-domain first.
        left_out: Settings that could not be measured, each with the reason.
        folds: Folds of the target's answer sets, int64 [n].
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
        """Return the result of a setting.

        Args:
            name: Name of the setting.
            labels: Number of target labels; None for any.

        Returns:
            The first such setting; None where it was left out.
        """
        return next((one for one in self.settings if one.name == name and labels in (None, one.labels)), None)


def transfer(pair: Pair, fits: SourceFits) -> TransferResult:
    """Evaluate one pair in every setting.

    Args:
        pair: Source and target, checked by `check_pair`.
        fits: Predictors fitted on the evaluation sets.

    Raises:
        EvaluationError: If a fold of the target has a single class.
    """
    settings, target, folds = fits.settings, fits.sets[pair.target], fits.folds[pair.target]
    require_both_classes(folds, target.labels, settings.folds, pair.target)
    in_domain = fits.predict((pair.target,), pair.target, cross_fit=True)
    measure = Measure(target, folds, in_domain, settings)
    found = [measure(IN_DOMAIN, -1, [_all(in_domain)])]
    source_accuracy = float(torch.cat([fits.sets[name].labels for name in pair.sources]).mean())
    estimated, left_out = None, []
    if not pair.in_domain:
        cross_fit = settings.shared_questions == "cross_fit"
        zero = fits.predict(pair.sources, pair.target, cross_fit=cross_fit)
        aligned = fits.predict(pair.sources, pair.target, aligned=True, cross_fit=cross_fit)
        shifted, estimated = correct_label_shift(aligned, source_accuracy, settings.prior_strength)
        for name, p_correct in ((ZERO_SHOT, zero), (ALIGNED, aligned), (SHIFT, shifted)):
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

    The first 25 of 50 labels are the same as a draw of 25, so that numbers of labels are compared on the same draws.

    Args:
        folds: Folds of the target's answer sets, int64 [n].
        count: Number k of labels to draw.
        settings: Settings of the transfer; the numbers of folds and draws and the seed are used.

    Yields:
        The labelled rows, int64 [k], and the rows to evaluate, int64 [m]; nothing if a fold has fewer than k.
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
