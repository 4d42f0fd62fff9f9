"""Transfer: P(correct) fitted on sources, evaluated on a target whose questions the fit never saw.

What is said of a target with none of its labels, with what its unlabelled answer sets alone tell, and with a few labels,
beside what a fit on the target itself reaches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sgpu_lightning.evaluation.evalset import EvaluationError, EvaluationSet
from sgpu_lightning.evaluation.few_labels import few_label_map
from sgpu_lightning.evaluation.folds import hashed_folds, require_both_classes
from sgpu_lightning.evaluation.label_shift import correct_label_shift
from sgpu_lightning.evaluation.transfer_plan import Pair, Sets, SharedQuestions
from sgpu_lightning.frozen import FrozenGP
from sgpu_lightning.gp import fit_classifier
from sgpu_lightning.metrics.functional import Comparison, bootstrap, calibration_error, calibration_noise_floor
from sgpu_lightning.metrics.functional.resampling import LOWER_IS_BETTER, compare_resampled

IN_MODEL, ZERO, ALIGNED, SHIFT, MAP = "in-model", "zero labels", "aligned", "label shift", "map"
BY_FOLD, AT_ONCE = ("auroc", "auarc", "brier"), ("ece",)
METRICS = (*BY_FOLD, *AT_ONCE)
_CONSTANT = 1e-8


@dataclass(frozen=True, kw_only=True)
class TransferSettings:
    """What transfer is measured with.

    Args:
        encoder: Sentence encoder for black-box vectors; null for a store's hidden states.
        layers: Decoder layers of the hidden states; null for all that a store holds.
        token: ``last`` or ``mean`` hidden states; null for what a store holds.
        grader: Labels sets that have gold answers but no label.
        shared_questions: ``refuse``: a source that holds a target's questions is an error, and each source is fitted
            whole. ``cross_fit``: a target's fold is evaluated by a fit without that fold's questions.
        folds: By a hash of the group, the same for every file.
        labels: How many target labels to try.
        draws: Draws of these labels from each fold.
        caution: Of the label-shift correction, see `correct_label_shift`.
        seed: Of folds, draws and bootstrap.
        resamples: Of the bootstrap.
    """

    encoder: str | None = "minilm"
    layers: list[int] | None = None
    token: str | None = None
    grader: str = "alias"
    shared_questions: SharedQuestions = "refuse"
    folds: int = 5
    labels: tuple[int, ...] = (25, 50, 100)
    draws: int = 2
    caution: float = 1.0
    seed: int = 0
    resamples: int = 1000

    def __post_init__(self) -> None:
        if self.draws < 1 or self.resamples < 1 or any(count < 1 for count in self.labels):
            raise EvaluationError(
                f"expected labels, draws and resamples of at least 1, got {list(self.labels)}, {self.draws} and "
                f"{self.resamples}"
            )


@dataclass(frozen=True)
class Run:
    """P(correct) of some of the target's answer sets.

    Args:
        rows: Which, int64 [m].
        p_correct: Float64 [m].
    """

    rows: Tensor
    p_correct: Tensor


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is known of the target.

    Args:
        name: ``in-model``; ``zero labels``; ``aligned``: each set's features standardised on its own unlabelled answer
            sets; ``label shift``: aligned, and corrected for another share of right answers; ``map``: a monotone map
            of the aligned P(correct), learned from target labels.
        labels: How many target labels; 0 for none, -1 for all but a fold's.
        runs: One, or one for each draw of labels.
        metrics: Averaged over runs. ``auroc``, ``auarc`` and ``brier`` are means over folds, as in a comparison;
            ``ece`` is of all held-out sets at once, with its ``ece_floor``.
        less_in_model: This less the in-model figure on the same answer sets, by metric.
    """

    name: str
    labels: int = 0
    runs: list[Run] = field(repr=False)
    metrics: dict[str, float]
    less_in_model: dict[str, Comparison]


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


class SourceFits:
    """GPs fitted on pooled sources, each fitted once.

    Args:
        sets: By name.
        settings: What with.

    Raises:
        EvaluationError: If a set has too few groups, or a fold of a single class.
    """

    def __init__(self, sets: Sets, settings: TransferSettings) -> None:
        self.sets, self.settings = sets, settings
        self.folds = {name: hashed_folds(one.groups, settings.folds, settings.seed) for name, one in sets.items()}
        self.features: dict[bool, dict[str, Tensor]] = {
            False: {name: one.features for name, one in sets.items()},
            True: {name: _aligned(one.features) for name, one in sets.items()},
        }
        self._fitted: dict[tuple[tuple[str, ...], int | None, bool], FrozenGP] = {}

    def get(self, names: tuple[str, ...], without: int | None, *, aligned: bool = False) -> FrozenGP:
        """The GP fitted on these sets.

        Args:
            names: Of the sets, pooled.
            without: The fold that is left out of each; None to fit on all.
            aligned: Whether features are standardised set by set.
        """
        key = (names, without, aligned)
        if key not in self._fitted:
            kept = {name: (self.folds[name] != without).nonzero().squeeze(1) for name in names}
            features = torch.cat([self.features[aligned][name][rows] for name, rows in kept.items()])
            labels = torch.cat([self.sets[name].labels[rows] for name, rows in kept.items()])
            if len(torch.unique(labels)) < 2:
                raise EvaluationError(
                    f"source {', '.join(names)}: {len(labels)} answer sets to fit on are of one class: expected right "
                    "and wrong answers; give more labelled answer sets"
                )
            self._fitted[key] = fit_classifier(features, labels, self.sets[names[0]].widths).freeze()
        return self._fitted[key]

    def predict(self, names: tuple[str, ...], target: str, *, aligned: bool = False, cross_fit: bool) -> Tensor:
        """P(correct) of every answer set of the target, float64 [n].

        Args:
            names: What is fitted on.
            target: The target's name.
            aligned: See `get`.
            cross_fit: Each fold by the fit without it; else all by the fit on everything.
        """
        features, folds = self.features[aligned][target], self.folds[target]
        if not cross_fit:
            return self.get(names, None, aligned=aligned)(features).p_correct
        p_correct = torch.zeros(len(folds), dtype=torch.float64)
        for fold in range(self.settings.folds):
            rows = folds == fold
            p_correct[rows] = self.get(names, fold, aligned=aligned)(features[rows]).p_correct
        return p_correct


def _aligned(features: Tensor) -> Tensor:
    """Features in units of their own spread in the set: what differs from set to set as a whole goes."""
    scale = features.std(0, correction=0)
    return (features - features.mean(0)) / torch.where(scale > _CONSTANT, scale, torch.ones_like(scale))


def transfer(pair: Pair, fits: SourceFits) -> TransferResult:
    """Measure one pair in every setting.

    Args:
        pair: Source and target, checked by `check_pair`.
        fits: Of the sets that are there.

    Raises:
        EvaluationError: If a fold of the target has a single class.
    """
    settings, target = fits.settings, fits.sets[pair.target]
    folds = fits.folds[pair.target]
    require_both_classes(folds, target.labels, settings.folds, pair.target)
    in_model = fits.predict((pair.target,), pair.target, cross_fit=True)
    source = torch.cat([fits.sets[name].labels for name in pair.sources])
    measure = _Measure(target, folds, in_model, settings)
    found = [measure(IN_MODEL, -1, [_all(in_model)])]
    estimated, left_out = None, []
    if not pair.in_model:
        cross_fit = settings.shared_questions == "cross_fit"
        zero = fits.predict(pair.sources, pair.target, cross_fit=cross_fit)
        aligned = fits.predict(pair.sources, pair.target, aligned=True, cross_fit=cross_fit)
        shifted, estimated = correct_label_shift(aligned, float(source.mean()), settings.caution)
        found += [measure(ZERO, 0, [_all(zero)]), measure(ALIGNED, 0, [_all(aligned)])]
        found.append(measure(SHIFT, 0, [_all(shifted)]))
        for count in settings.labels:
            drawn = list(draw_labels(folds, count, settings))
            if drawn:
                found.append(measure(MAP, count, [_map_run(aligned, target.labels, *rows) for rows in drawn]))
            else:
                fewest = int(torch.bincount(folds).min())
                left_out.append(f"{count} labels: a fold of {pair.target} has only {fewest} answer sets to draw from")
    return TransferResult(
        pair=pair,
        sets=len(target),
        accuracy=target.accuracy,
        source_accuracy=float(source.mean()),
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


@dataclass(frozen=True)
class _Measure:
    target: EvaluationSet
    folds: Tensor
    in_model: Tensor
    settings: TransferSettings

    def __call__(self, name: str, labels: int, runs: Sequence[Run]) -> Setting:
        metrics, tests = {}, {}
        for metric in METRICS:
            values, resampled = self._bootstrap(metric, runs)
            metrics[metric] = float(values[0])
            tests[metric] = compare_resampled(values, resampled, 0, 1, lower_is_better=metric in LOWER_IS_BETTER)
        return Setting(
            name=name, labels=labels, runs=list(runs), metrics=metrics | self._beside(runs), less_in_model=tests
        )

    def _bootstrap(self, metric: str, runs: Sequence[Run]) -> tuple[Tensor, Tensor]:
        """The metric of the runs and of the in-model fit [2], means over runs; resampled with draws of labels [2, R]."""
        count = -(-self.settings.resamples // len(runs))
        values, resampled = [], []
        for i, run in enumerate(runs):
            found = bootstrap(
                metric,
                [run.p_correct, self.in_model[run.rows]],
                self.target.labels[run.rows],
                groups=[self.target.groups[row] for row in run.rows.tolist()],
                folds=self.folds[run.rows] if metric in BY_FOLD else None,
                num_resamples=count,
                seed=self.settings.seed + i,
            )
            values.append(found[0])
            resampled.append(found[1])
        return torch.stack(values).mean(0), torch.cat(resampled, dim=1)

    def _beside(self, runs: Sequence[Run]) -> dict[str, float]:
        """Floors of the ECE, and the ECE by fold, as a comparison reports it."""
        floor = sum(float(calibration_noise_floor(run.p_correct)) for run in runs) / len(runs)
        by_fold = [
            (calibration_error(p, labels), calibration_noise_floor(p)) for run in runs for p, labels in self._parts(run)
        ]
        error, its_floor = (float(torch.stack(part).mean()) for part in zip(*by_fold, strict=True))
        return {"ece_floor": floor, "ece_by_fold": error, "ece_by_fold_floor": its_floor}

    def _parts(self, run: Run) -> Iterator[tuple[Tensor, Tensor]]:
        folds, labels = self.folds[run.rows], self.target.labels[run.rows]
        for fold in torch.unique(folds).tolist():
            yield run.p_correct[folds == fold], labels[folds == fold]


def rows_of(result: TransferResult) -> list[Mapping[str, Any]]:
    """One row for each setting, for tables and files."""
    rows = []
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
