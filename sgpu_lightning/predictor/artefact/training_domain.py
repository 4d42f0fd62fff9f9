"""Whether answer sets are like those a predictor was fitted on, judged by their latent variance.

Where few training sets are near, the GP's posterior reverts to the prior and the latent variance rises.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from sgpu_lightning.predictor.artefact.predictor_config import Domain, PredictorConfig

QUANTILES = (0.5, 0.9, 0.95, 0.99, 1.0)
UNLIKE_QUANTILE = 0.99  # a set is unlike training if its variance exceeds this quantile over the training sets
WARN_MARGIN = 0.05  # warn if the proportion of unlike sets exceeds the usual proportion by more than this


class UnlikeTrainingWarning(UserWarning):
    """Many answer sets are unlike those that the predictor was fitted on."""


def domain_of(variance: Tensor) -> Domain:
    """Summarise the training sets' latent variance, for comparison with later sets.

    Args:
        variance: Latent variance of the training sets, [n].
    """
    levels = torch.tensor(QUANTILES, dtype=torch.float64)
    quantiles = dict(zip(map(str, QUANTILES), torch.quantile(variance.double(), levels).tolist(), strict=True))
    return Domain(quantiles=quantiles, unlike_above=quantiles[str(UNLIKE_QUANTILE)])


def is_unlike(variance: Tensor, domain: Domain) -> Tensor:
    """Mark the sets that are unlike the training sets.

    Args:
        variance: Latent variance of the sets, [B].
        domain: The criterion.

    Returns:
        A bool tensor [B].
    """
    return variance > domain.unlike_above


def usual_proportion(config: PredictorConfig) -> float:
    """The proportion of sets marked as unlike among new sets that resemble the training sets.

    The GP's variance is lowest at the sets it was fitted on, so held-out sets give the better estimate where there are
    some.
    """
    return max(1.0 - UNLIKE_QUANTILE, config.evaluation.unlike_training if config.evaluation else 0.0)


def warn_if_unlike(unlike: int, sets: int, config: PredictorConfig) -> None:
    """Warn if clearly more sets than usual are unlike the training sets.

    Args:
        unlike: Number of sets that are unlike the training sets.
        sets: Number of sets in all.
        config: The predictor's config.
    """
    usual = usual_proportion(config)
    if sets and unlike / sets > usual + WARN_MARGIN:
        warnings.warn(
            f"{unlike} of {sets} answer sets ({unlike / sets:.0%}) look unlike those the predictor was fitted on "
            f"({usual:.0%} is usual): their P(correct) may be miscalibrated; see 'unlike_training' of each set",
            UnlikeTrainingWarning,
            stacklevel=3,
        )
