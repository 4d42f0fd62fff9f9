"""Metrics of predictions of a target, and their differences from those of an in-domain fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sgpu_lightning.evaluation.common.evaluation_set import EvaluationSet
from sgpu_lightning.evaluation.common.evaluation_settings import TransferSettings
from sgpu_lightning.metrics.functional import Comparison, bootstrap, calibration_error, calibration_noise_floor
from sgpu_lightning.metrics.functional.bootstrap_results import compare_resampled
from sgpu_lightning.metrics.registry import LOWER_IS_BETTER, names

AT_ONCE = ("ece",)  # metrics of all held-out answer sets at once; the others are means over folds
BY_FOLD = tuple(name for name in names("transfer") if name not in AT_ONCE)
METRICS = (*BY_FOLD, *AT_ONCE)


@dataclass(frozen=True)
class Run:
    """Predictions of some of the target's answer sets.

    Args:
        rows: Rows of the target, int64 [m].
        p_correct: P(correct), float64 [m].
    """

    rows: Tensor
    p_correct: Tensor


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Metrics in one setting, which is what the predictor knows of the target.

    Args:
        name: Name of the setting. ``in-domain``: fitted on the target itself. ``zero-shot``: the source's predictor as
            it is. ``aligned``: each evaluation set's features are standardised on its own unlabelled answer sets.
            ``label shift``: aligned, and corrected for another proportion of right answers. ``map``: label shift, and
            then a monotone map learned from target labels. ``warm start``: a GP fitted on target labels, whose prior
            mean is the aligned source's latent mean.
        labels: Number of target labels; 0 for none, -1 for all of the other folds.
        runs: One run, or one for each draw of labels.
        metrics: Metrics averaged over runs. ``auroc``, ``auarc`` and ``brier`` are means over folds, as in a
            comparison; ``ece`` is that of all held-out answer sets at once, with its ``ece_floor``.
        less_in_domain: Comparison of this setting with the in-domain fit on the same answer sets, by metric.
    """

    name: str
    labels: int = 0
    runs: list[Run] = field(repr=False)
    metrics: dict[str, float]
    less_in_domain: dict[str, Comparison]


@dataclass(frozen=True)
class Measure:
    """Computes the metrics of runs on one target.

    Args:
        target: Evaluation set of the target, with n answer sets.
        folds: Fold of each answer set, int64 [n].
        in_domain: P(correct) by fits on the target's other folds, [n].
        settings: Settings of the transfer; the number of resamples and the seed are used.
    """

    target: EvaluationSet
    folds: Tensor
    in_domain: Tensor
    settings: TransferSettings

    def __call__(self, name: str, labels: int, runs: Sequence[Run]) -> Setting:
        """Compute the metrics of a setting.

        Args:
            name: Name of the setting.
            labels: Number of target labels that it uses.
            runs: One run, or one for each draw of labels.
        """
        metrics, tests = {}, {}
        for metric in METRICS:
            values, resampled = self._bootstrap(metric, runs)
            metrics[metric] = float(values[0])
            tests[metric] = compare_resampled(values, resampled, 0, 1, lower_is_better=metric in LOWER_IS_BETTER)
        return Setting(
            name=name, labels=labels, runs=list(runs), metrics=metrics | self._calibration(runs), less_in_domain=tests
        )

    def _bootstrap(self, metric: str, runs: Sequence[Run]) -> tuple[Tensor, Tensor]:
        """Compute a metric of the runs and of the in-domain fit on the same rows.

        Returns:
            Means over runs, [2], and values on resamples of all runs, [2, R].
        """
        count = -(-self.settings.resamples // len(runs))
        values, resampled = [], []
        for i, run in enumerate(runs):
            found = bootstrap(
                metric,
                [run.p_correct, self.in_domain[run.rows]],
                self.target.labels[run.rows],
                groups=[self.target.groups[row] for row in run.rows.tolist()],
                folds=self.folds[run.rows] if metric in BY_FOLD else None,
                num_resamples=count,
                seed=self.settings.seed + i,
            )
            values.append(found[0])
            resampled.append(found[1])
        return torch.stack(values).mean(0), torch.cat(resampled, dim=1)

    def _calibration(self, runs: Sequence[Run]) -> dict[str, float]:
        """Compute the noise floor of the ECE, and the mean ECE over folds, as in a comparison, with its floor."""
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
