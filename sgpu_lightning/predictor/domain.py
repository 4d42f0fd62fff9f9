"""Whether answer sets look like those a predictor was fitted on, by their latent variance.

Where few training sets are near, the GP falls back to its prior, and the latent variance rises.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from sgpu_lightning.predictor.config import Domain, PredictorConfig

SHARES = (0.5, 0.9, 0.95, 0.99, 1.0)
FLAG_ABOVE = 0.99  # of the training sets have a lower variance than a set that is called unlike them
WARN_ABOVE = 0.05  # a share of unlike sets, beyond what is usual


class UnlikeTrainingWarning(UserWarning):
    """Many answer sets look unlike what the predictor was fitted on."""


def domain_of(variance: Tensor) -> Domain:
    """What to compare later sets with.

    Args:
        variance: Latent variance of the training sets, [n].
    """
    shares = torch.tensor(SHARES, dtype=torch.float64)
    quantiles = dict(zip(map(str, SHARES), torch.quantile(variance.double(), shares).tolist(), strict=True))
    return Domain(quantiles=quantiles, unlike_above=quantiles[str(FLAG_ABOVE)])


def is_unlike(variance: Tensor, domain: Domain) -> Tensor:
    """Which sets look unlike the training sets, bool [B]; their variance is [B]."""
    return variance > domain.unlike_above


def usual_share(config: PredictorConfig) -> float:
    """The share of unlike sets among sets like the training ones that were not fitted on.

    A GP is surest of the very sets it was fitted on; those held out tell better where there are some.
    """
    return max(1.0 - FLAG_ABOVE, config.evaluation.unlike_training if config.evaluation else 0.0)


def warn_of_share(unlike: int, sets: int, config: PredictorConfig) -> None:
    """Warn where clearly more sets than usual look unlike the training sets."""
    usual = usual_share(config)
    if sets and unlike / sets > usual + WARN_ABOVE:
        warnings.warn(
            f"{unlike} of {sets} answer sets ({unlike / sets:.0%}) look unlike those the predictor was fitted on "
            f"({usual:.0%} is usual): their P(correct) may be off; see 'unlike_training' of each",
            UnlikeTrainingWarning,
            stacklevel=3,
        )
