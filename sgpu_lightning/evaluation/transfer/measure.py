"""Metrics of what is said of a target, and their differences from a fit on the target itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sgpu_lightning.evaluation.common.evaluation_set import EvaluationSet
from sgpu_lightning.evaluation.common.evaluation_settings import TransferSettings
from sgpu_lightning.metrics.functional import Comparison, bootstrap, calibration_error, calibration_noise_floor
from sgpu_lightning.metrics.functional.bootstrap_results import compare_resampled
from sgpu_lightning.metrics.registry import LOWER_IS_BETTER

BY_FOLD, AT_ONCE = ("auroc", "auarc", "brier"), ("ece",)
METRICS = (*BY_FOLD, *AT_ONCE)


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
            sets; ``label shift``: aligned, and corrected for another share of right answers; ``map``: that, by a
            monotone map learned from target labels. ``warm start``: a GP fitted on target labels, whose mean function
            is the aligned source's latent mean.
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


@dataclass(frozen=True)
class Measure:
    """Measures runs on one target.

    Args:
        target: The evaluation set.
        folds: Of its answer sets, int64 [n].
        in_model: P(correct) by fits on the target's other folds, [n].
        settings: Resamples and seed.
    """

    target: EvaluationSet
    folds: Tensor
    in_model: Tensor
    settings: TransferSettings

    def __call__(self, name: str, labels: int, runs: Sequence[Run]) -> Setting:
        """Measure a setting.

        Args:
            name: Of the setting.
            labels: How many target labels it takes.
            runs: One, or one for each draw of labels.
        """
        metrics, tests = {}, {}
        for metric in METRICS:
            values, resampled = self._bootstrap(metric, runs)
            metrics[metric] = float(values[0])
            tests[metric] = compare_resampled(values, resampled, 0, 1, lower_is_better=metric in LOWER_IS_BETTER)
        return Setting(
            name=name, labels=labels, runs=list(runs), metrics=metrics | self._beside(runs), less_in_model=tests
        )

    def _bootstrap(self, metric: str, runs: Sequence[Run]) -> tuple[Tensor, Tensor]:
        """A metric of the runs and of the in-model fit on like rows.

        Returns:
            Means over runs, [2]; and resampled, over draws of labels too, [2, R].
        """
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
