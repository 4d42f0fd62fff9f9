"""Correcting P(correct) for a target whose share of right answers differs from the source's, without target labels.

Under label shift right answers look alike in source and target, and so do wrong ones; only their shares differ. The
target's share is then the maximum of the likelihood of its unlabelled predictions, found by EM [Saerens2002].

References:
    [Saerens2002] Saerens, Latinne and Decaestecker, "Adjusting the Outputs of a Classifier to New a Priori
    Probabilities: A Simple Procedure", Neural Computation 14(1), 2002.
    [Alexandari2020] Alexandari, Kundaje and Shrikumar, "Maximum Likelihood with Bias-Corrected Calibration is
    Hard-To-Beat at Label Shift Adaptation", ICML 2020: EM is the maximum of a concave likelihood.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sgpu_lightning.errors import EvaluationError

_STEPS, _SETTLED = 1000, 1e-9
_CLOSEST = 1e-6  # how close to 0 or 1 a P(correct) is taken to be


class LabelShift(NamedTuple):
    """Corrected predictions.

    Args:
        p_correct: Float64 [n].
        rate: The estimated share of right answers in the target.
    """

    p_correct: Tensor
    rate: float


def correct_label_shift(p_correct: Tensor, source_rate: float, caution: float = 0.0) -> LabelShift:
    r"""Estimate the target's share of right answers from its unlabelled predictions, and correct them for it.

    .. math::
        p_i' = \frac{p_i \pi / \pi_S}{p_i \pi / \pi_S + (1 - p_i) (1 - \pi) / (1 - \pi_S)}, \qquad
        \pi = \frac{\sum_i p_i' + c n \pi_S}{n + c n}

    iterated to its fixed point. With caution c = 0 it is the EM of [Saerens2002]. Where models differ in more than
    their share of right answers, its likelihood is wrong and can run to a share of 0 or 1: c > 0 adds c n imagined sets
    with the source's share, the mode under a Beta prior.

    Args:
        p_correct: Of every answer set of the target by the source's predictor, [n], in [0, 1].
        source_rate: Share :math:`\pi_S` of right answers the predictor was fitted on, in (0, 1).
        caution: The weight c >= 0 of the source's share; infinity corrects nothing.

    Raises:
        EvaluationError: If an argument is not as described.
    """
    if not 0.0 < source_rate < 1.0:
        raise EvaluationError(
            f"label shift: expected a source with right and wrong answers, got a share of {source_rate} right; "
            "give sources whose labels are of both classes"
        )
    if not caution >= 0.0:
        raise EvaluationError(f"label shift: expected a caution of at least 0, got {caution}")
    if not len(p_correct):
        raise EvaluationError("label shift: expected at least one prediction of the target, got none")
    weight = 0.0 if caution == float("inf") else 1.0 / (1.0 + caution)
    p = p_correct.double().clamp(_CLOSEST, 1.0 - _CLOSEST)
    rate = torch.tensor(source_rate, dtype=torch.float64)
    corrected = p
    for _ in range(_STEPS):
        corrected = _reweight(p, source_rate, rate)
        # Away from 0 and 1, where every prediction would be certain.
        following = (weight * corrected.mean() + (1.0 - weight) * source_rate).clamp(_CLOSEST, 1.0 - _CLOSEST)
        settled = abs(float(following - rate)) < _SETTLED
        rate = following
        if settled:
            break
    return LabelShift(corrected, float(rate))


def _reweight(p: Tensor, source_rate: float, rate: Tensor) -> Tensor:
    right, wrong = p * rate / source_rate, (1.0 - p) * (1.0 - rate) / (1.0 - source_rate)
    return right / (right + wrong)
