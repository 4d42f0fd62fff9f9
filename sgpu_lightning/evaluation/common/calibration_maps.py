"""Calibration maps from a score to P(correct), fitted on labelled answer sets: isotonic and logistic regression."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


def isotonic(scores: Tensor, labels: Tensor) -> Map:
    """Fit the monotone map of least squared error (isotonic regression).

    Its values are clipped to [1/(n+2), 1 - 1/(n+2)], so that no answer is certain.

    Args:
        scores: Scores, higher for more confident, float64 [n].
        labels: 1.0 for a right answer, 0.0 for a wrong one, [n].

    Returns:
        A map from scores [m] to P(correct), float64 [m].
    """
    from sklearn.isotonic import IsotonicRegression

    least = 1.0 / (len(labels) + 2)
    fitted = IsotonicRegression(y_min=least, y_max=1.0 - least, out_of_bounds="clip")
    fitted.fit(scores.numpy(), labels.numpy())
    return lambda values: torch.from_numpy(fitted.predict(values.numpy())).double()


def platt(scores: Tensor, labels: Tensor) -> Map:
    """Fit a logistic regression on the standardised score (Platt, 1999).

    Args:
        scores: Scores, higher for more confident, float64 [n].
        labels: 1.0 for a right answer, 0.0 for a wrong one, [n].

    Returns:
        A map from scores [m] to P(correct), float64 [m].
    """
    from sklearn.linear_model import LogisticRegression

    mean, scale = scores.mean(), scores.std().clamp_min(1e-12)
    fitted = LogisticRegression().fit(((scores - mean) / scale).numpy()[:, None], labels.numpy())
    return lambda values: torch.from_numpy(fitted.predict_proba(((values - mean) / scale).numpy()[:, None])[:, 1])
