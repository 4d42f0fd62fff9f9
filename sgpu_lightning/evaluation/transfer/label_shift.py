"""Label-shift correction of P(correct) for a target with another proportion of right answers, without target labels.

Under label shift, right answers have the same distribution of features in source and target, and so have wrong answers;
only their proportions differ. The target's proportion is then the maximum-likelihood estimate from its unlabelled
predictions, computed by EM [Saerens2002].

References:
    [Saerens2002] Saerens, Latinne and Decaestecker, "Adjusting the Outputs of a Classifier to New a Priori
    Probabilities: A Simple Procedure", Neural Computation 14(1), 2002.
    [Alexandari2020] Alexandari, Kundaje and Shrikumar, "Maximum Likelihood with Bias-Corrected Calibration is
    Hard-To-Beat at Label Shift Adaptation", ICML 2020: EM converges to the maximum of a concave likelihood.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sgpu_lightning.errors import EvaluationError

_MAX_STEPS, _TOLERANCE = 1000, 1e-9
_CLOSEST = 1e-6  # smallest distance of P(correct) and of the proportion from 0 and 1


class LabelShift(NamedTuple):
    """Corrected predictions.

    Args:
        p_correct: Corrected P(correct), float64 [n].
        rate: Estimated proportion of right answers in the target.
    """

    p_correct: Tensor
    rate: float


def correct_label_shift(p_correct: Tensor, source_rate: float, prior_strength: float = 0.0) -> LabelShift:
    r"""Estimate the target's proportion of right answers from its unlabelled predictions, and correct them for it.

    .. math::
        p_i' = \frac{p_i \pi / \pi_S}{p_i \pi / \pi_S + (1 - p_i) (1 - \pi) / (1 - \pi_S)}, \qquad
        \pi = \frac{\sum_i p_i' + c n \pi_S}{n + c n}

    iterated to its fixed point. With prior strength c = 0 this is the EM of [Saerens2002]. Where models differ in more
    than their proportion of right answers, the likelihood is misspecified and its maximum can be a proportion of 0 or
    1. With c > 0 the estimate is the mode under a Beta prior around the source's proportion, with pseudo-count c n.

    Args:
        p_correct: P(correct) of every answer set of the target by the source's predictor, [n], in [0, 1].
        source_rate: Proportion :math:`\pi_S` of right answers among those the predictor was fitted on, in (0, 1).
        prior_strength: Strength c >= 0 of the prior; infinity leaves P(correct) unchanged.

    Raises:
        EvaluationError: If an argument is outside its range, or ``p_correct`` is empty.
    """
    if not 0.0 < source_rate < 1.0:
        raise EvaluationError(
            f"label shift: expected a source with right and wrong answers, got a proportion of {source_rate} right; "
            "give sources whose labels are of both classes"
        )
    if not prior_strength >= 0.0:
        raise EvaluationError(f"label shift: expected a prior strength of at least 0, got {prior_strength}")
    if not len(p_correct):
        raise EvaluationError("label shift: expected at least one prediction of the target, got none")
    weight = 0.0 if prior_strength == float("inf") else 1.0 / (1.0 + prior_strength)
    p = p_correct.double().clamp(_CLOSEST, 1.0 - _CLOSEST)
    rate = torch.tensor(source_rate, dtype=torch.float64)
    corrected = p
    for _ in range(_MAX_STEPS):
        corrected = _reweight(p, source_rate, rate)
        # Kept away from 0 and 1, where every prediction would be certain.
        following = (weight * corrected.mean() + (1.0 - weight) * source_rate).clamp(_CLOSEST, 1.0 - _CLOSEST)
        converged = abs(float(following - rate)) < _TOLERANCE
        rate = following
        if converged:
            break
    return LabelShift(corrected, float(rate))


def _reweight(p: Tensor, source_rate: float, rate: Tensor) -> Tensor:
    right, wrong = p * rate / source_rate, (1.0 - p) * (1.0 - rate) / (1.0 - source_rate)
    return right / (right + wrong)
