"""The prediction for an answer set: P(correct), the latent mean and variance, and the split of the uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sgpu_lightning.gp.likelihood import binary_entropy, expected_entropy, p_correct


class Prediction(NamedTuple):
    """Predictions for B answer sets; every field is float64 [B].

    Args:
        p_correct: P(the scored answer is correct) = Phi(mean / sqrt(1 + variance)) of the latent f.
        latent_mean: Posterior mean of f.
        latent_variance: Posterior variance of f.
        data_entropy: Aleatoric uncertainty: the expected entropy E[H(y | f)], in nats.
        mutual_information: Epistemic uncertainty: mutual information I(y; f), in nats. It is high where few similar
            answer sets were seen. The two add up to the entropy of ``p_correct``.
    """

    p_correct: Tensor
    latent_mean: Tensor
    latent_variance: Tensor
    data_entropy: Tensor
    mutual_information: Tensor

    @classmethod
    def from_latent(cls, mean: Tensor, variance: Tensor) -> Prediction:
        """Compute all fields from the mean and variance of f, each [B]."""
        p, data = p_correct(mean, variance), expected_entropy(mean, variance)
        return cls(p, mean, variance, data, (binary_entropy(p) - data).clamp_min(0.0))

    @classmethod
    def cat(cls, parts: Sequence[Prediction]) -> Prediction:
        """Concatenate the predictions of several batches."""
        return cls(*(torch.cat(field) for field in zip(*parts, strict=True)))
