"""The metrics of a predictor on answer sets held out from its fit, as its config and model card state them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sgpu_lightning.metrics.functional import bootstrap_interval, calibration_noise_floor
from sgpu_lightning.metrics.registry import names
from sgpu_lightning.predictor.artefact.predictor_config import CalibrationBin, Evaluation, Interval

NUM_BINS = 15


def evaluate_held_out(probs: Tensor, labels: Tensor, unlike: Tensor, groups: Sequence[str]) -> Evaluation | None:
    """Measure predictions on held-out answer sets.

    Args:
        probs: P(correct), [n].
        labels: 1.0 if the scored answer is right, else 0.0, [n].
        unlike: Whether each set is unlike the training sets, bool [n].
        groups: Group of each set; the bootstrap resamples groups.

    Returns:
        The evaluation; None unless both right and wrong answers occur.
    """
    if len(torch.unique(labels)) < 2:
        return None
    intervals = {name: bootstrap_interval(name, probs, labels, groups=list(groups)) for name in names("predictor")}
    return Evaluation(
        sets=len(labels),
        right=float(labels.mean()),
        unlike_training=float(unlike.double().mean()),
        metrics={
            name: Interval(value=one.value, low=_none_if_nan(one.low), high=_none_if_nan(one.high))
            for name, one in intervals.items()
        },
        ece_floor=float(calibration_noise_floor(probs)),
        calibration=_calibration_bins(probs, labels),
    )


def _calibration_bins(probs: Tensor, labels: Tensor) -> tuple[CalibrationBin, ...]:
    bin_of = (probs * NUM_BINS).long().clamp_max(NUM_BINS - 1)
    rows_by_bin = [(bin_of == i).nonzero().squeeze(1) for i in range(NUM_BINS)]
    return tuple(
        CalibrationBin(sets=len(rows), p_correct=float(probs[rows].mean()), right=float(labels[rows].mean()))
        for rows in rows_by_bin
        if len(rows)
    )


def _none_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
