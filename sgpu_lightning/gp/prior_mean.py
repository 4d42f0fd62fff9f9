"""The GP's prior mean, linear in basis functions: agreement of the answers, and a predictor fitted elsewhere.

The prior mean m(x) = c + sum_j w_j b_j(x), with priors on the weights w_j, states what is known before any label is
seen: that answers which agree are more often right, or what another predictor has learned. The labels are then used to
learn what is particular to the data, rather than to learn this again. Shapes: B answer sets, F features, T basis
functions; all tensors float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.gp.frozen.frozen_gp import FrozenGP

# Probits for one standard deviation of agreement: P(correct) is 0.12 one standard deviation below the mean and 0.88 one
# above it. Chosen by cross-validation with 50 and 100 labels.
_AGREEMENT = 1.2
# Scale of the constant in a warm start, in probits. In most data the proportion of right answers is about the one that
# the other predictor learned, and in some it is very different.
_CONSTANT_SCALE = 0.1


class MeanBasis(Protocol):
    """Basis functions of standardised features, and the priors on their weights and on the constant."""

    @property
    def weight_mean(self) -> Tensor:
        """Mean of each weight's normal prior, [T]."""
        ...

    @property
    def weight_deviation(self) -> Tensor:
        """Standard deviation of each weight's normal prior, [T]."""
        ...

    @property
    def constant_scale(self) -> float | None:
        """Scale of the constant's prior, a Student t with 3 degrees of freedom; None for a flat prior."""
        ...

    @property
    def base(self) -> FrozenGP | None:
        """The predictor whose latent mean is one of the basis functions, if there is one."""
        ...

    @property
    def count(self) -> int:
        """The number of basis functions, T."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """The basis functions at standardised features [B, F], [B, T]."""
        ...

    def frozen(self, weights: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """The fields of `FrozenTensors` that describe the basis functions.

        Args:
            weights: The weights w, [T].
            lengths: The length scales that the features of `FrozenGP` are also divided by, [F].
        """
        ...


class AgreementBasis(nn.Module):
    """Agreement of the answers: one basis function for each feature block that measures agreement.

    Each basis function is the mean of a block's standardised features, signed so that a larger value means more
    agreement, in units of the standard deviation of that mean over the training sets. It is clipped to its range over
    the training sets. The weights learned there say nothing about answer sets far outside, for which a straight line
    would predict with certainty.

    Args:
        direction: Matrix with the basis functions x @ direction, [F, T]; T = 0 gives a constant mean.
        limits: Lowest and highest value of each basis function among the training sets, [2, T].
    """

    direction: Tensor
    limits: Tensor
    constant_scale = None  # nothing is known about the proportion of right answers
    base = None

    def __init__(self, direction: Tensor, limits: Tensor) -> None:
        super().__init__()
        self.register_buffer("direction", direction)
        self.register_buffer("limits", limits)

    @classmethod
    def of(cls, x: Tensor, widths: Sequence[int], agreement: Tensor | None) -> AgreementBasis:
        """Make the basis functions of the blocks that measure agreement.

        Args:
            x: Standardised training features, [B, F].
            widths: Number of features in each block.
            agreement: 1, -1 or 0 for each feature, see `AnswerFeatures.agreement`; None for a constant mean.
        """
        columns = []
        parts = torch.split(torch.zeros(x.shape[1]) if agreement is None else agreement, list(widths))
        for i, signs in enumerate(parts):
            if bool(signs.any()):
                column = torch.cat([part if j == i else torch.zeros_like(part) for j, part in enumerate(parts)]).to(x)
                deviation = (x @ column).std(correction=0)
                columns.append(column / torch.where(deviation > 1e-8, deviation, torch.ones_like(deviation)))
        if not columns:
            return cls.constant(x.shape[1])
        direction = torch.stack(columns, dim=1)
        values = x @ direction
        return cls(direction, torch.stack([values.amin(0), values.amax(0)]))

    @classmethod
    def constant(cls, num_features: int, count: int = 0) -> AgreementBasis:
        """Make one without basis functions, or with ``count`` of them for a state dict to fill."""
        return cls(torch.zeros(num_features, count, dtype=torch.float64), torch.zeros(2, count, dtype=torch.float64))

    @property
    def count(self) -> int:
        """The number of basis functions, T."""
        return self.direction.shape[1]

    @property
    def weight_mean(self) -> Tensor:
        """Mean of each weight's prior, [T], in probits.

        If all basis functions rise by one standard deviation, the prior mean rises by `_AGREEMENT`.
        """
        return self.direction.new_full((self.count,), _AGREEMENT / max(1, self.count))

    @property
    def weight_deviation(self) -> Tensor:
        """Standard deviation of each weight's prior, [T], equal to its mean.

        No effect and twice the expected effect are therefore both one standard deviation from the mean.
        """
        return self.weight_mean

    def forward(self, x: Tensor) -> Tensor:
        """The basis functions at standardised features [B, F], [B, T]."""
        return (x @ self.direction).clamp(*self.limits)

    def frozen(self, weights: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """The fields of `FrozenTensors` that describe the basis functions; see `MeanBasis.frozen`."""
        return {
            "direction": lengths.unsqueeze(1) * self.direction,
            "basis_range": self.limits.clone(),
            "mean_weights": weights.clone(),
        }


class WarmStartBasis(nn.Module):
    """Basis functions of a warm start: the latent mean of a predictor fitted on other data, and agreement.

    The prior gives each of the two half of the weight, and the marginal likelihood of the labels decides which counts
    for more. Without agreement basis functions the predictor has the whole weight. A priori, the proportion of right
    answers is the one that the predictor learned; labels can change it.

    Args:
        base: The predictor.
        mean: Mean that is subtracted from the features for the new GP, [F].
        scale: Scale that the centred features are divided by, [F].
        agreement: The agreement basis functions of the same standardised features.
    """

    mean: Tensor
    scale: Tensor
    constant_scale = _CONSTANT_SCALE

    def __init__(self, base: FrozenGP, mean: Tensor, scale: Tensor, agreement: AgreementBasis) -> None:
        super().__init__()
        self.base = base
        self.agreement = agreement
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    @property
    def count(self) -> int:
        """The number of basis functions, T."""
        return 1 + self.agreement.count

    @property
    def weight_mean(self) -> Tensor:
        """Mean of each weight's prior, [T]. The predictor's weight is the first; 1 leaves its latent mean unchanged."""
        proportion = 0.5 if self.agreement.count else 1.0
        return proportion * torch.cat([self.mean.new_ones(1), self.agreement.weight_mean])

    @property
    def weight_deviation(self) -> Tensor:
        """Standard deviation of each weight's prior, [T]."""
        proportion = 0.5 if self.agreement.count else 0.2
        return proportion * torch.cat([self.mean.new_ones(1), self.agreement.weight_deviation])

    def forward(self, x: Tensor) -> Tensor:
        """The basis functions at standardised features [B, F], [B, T]."""
        latent = self.base.latent_mean(x * self.scale + self.mean)
        return torch.cat([latent.unsqueeze(-1), self.agreement(x)], dim=-1)

    def frozen(self, weights: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """The fields of `FrozenTensors` that describe the basis functions; see `MeanBasis.frozen`."""
        return self.agreement.frozen(weights[1:], lengths) | {"base_weight": weights[0].clone()}


def initial_basis(
    x: Tensor,
    mean: Tensor,
    scale: Tensor,
    widths: Sequence[int],
    agreement: Tensor | None,
    warm_start: FrozenGP | None,
) -> MeanBasis:
    """Make the basis functions for training features.

    Args:
        x: Standardised training features, [B, F].
        mean: Mean that was subtracted from the features, [F].
        scale: Scale that the centred features were divided by, [F].
        widths: Number of features in each block.
        agreement: See `AgreementBasis.of`.
        warm_start: A predictor fitted on other data with the same features; None for agreement alone.

    Raises:
        SGPUError: If the predictor takes another number of features.
    """
    basis = AgreementBasis.of(x, widths, agreement)
    if warm_start is None:
        return basis
    expected, got = x.shape[1], len(warm_start.mean)
    if got != expected:
        raise SGPUError(
            f"warm start: expected a predictor on the same {expected} features, got one on {got}; use the same "
            "feature blocks"
        )
    return WarmStartBasis(warm_start, mean, scale, basis)


def empty_basis(num_features: int, count: int, warm_start: Mapping[str, Any] | None) -> MeanBasis:
    """Make basis functions of the right shapes for a state dict to fill.

    Args:
        num_features: Number of features F.
        count: Number of basis functions T.
        warm_start: Arguments of `FrozenGP.of_shape` for the predictor of a warm start; None without one.
    """
    zeros = torch.zeros(num_features, dtype=torch.float64)
    if warm_start is None:
        return AgreementBasis.constant(num_features, count)
    agreement = AgreementBasis.constant(num_features, count - 1)
    return WarmStartBasis(FrozenGP.of_shape(**warm_start), zeros, zeros.clone(), agreement)
