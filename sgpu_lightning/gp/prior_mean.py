"""What the GP's mean function goes by: agreement of the answers, and a predictor that was fitted elsewhere.

A mean function m(x) = c + sum_j w_j t_j(x) with priors on the weights w_j says what is known before any label is seen:
that answers which agree are more often right, or what another predictor learned. Few labels are then spent on what is
particular to the data, not on finding that out again. Shapes: B answer sets, F features, T trends; all float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sgpu_lightning.gp.frozen import FrozenGP

# Probits for one standard deviation of agreement: P(correct) is 0.12 one below the mean, 0.88 one above. Chosen by
# cross-validation with 50 and 100 labels.
_AGREEMENT = 1.2
# Probits: where another predictor has learned how many answers are right, most data are near it, and some far from it.
_OFFSET = 0.1


class Trend(Protocol):
    """A function of standardised features that the mean is linear in."""

    @property
    def prior_mean(self) -> Tensor:
        """Of each weight's normal prior, [T]."""
        ...

    @property
    def prior_deviation(self) -> Tensor:
        """Of each weight's normal prior, [T]."""
        ...

    @property
    def offset_scale(self) -> float | None:
        """Of the prior on the mean's constant, Student t with 3 degrees of freedom; None for a flat one."""
        ...

    @property
    def count(self) -> int:
        """T."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """From standardised features [B, F] to trends [B, T]."""
        ...

    def frozen(self, weights: Tensor, lengths: Tensor) -> dict[str, Any]:
        """The mean function as arguments of `FrozenGP`."""
        ...


class AgreementTrend(nn.Module):
    """How much the answers agree, by one block of features after another.

    Each trend is the mean of a block's standardised features, with the sign that makes more of it mean more agreement,
    in units of its own standard deviation over the training sets. It is held in the range it had among them: weights
    learned there say nothing of sets far outside, which a straight line would call certain.

    Args:
        direction: x @ direction gives the trends, [F, T]; T may be 0, which leaves a constant mean.
        limits: Lowest and highest of each trend among the training sets, [2, T].
    """

    direction: Tensor
    limits: Tensor
    offset_scale = None  # nothing is known of how many answers are right

    def __init__(self, direction: Tensor, limits: Tensor) -> None:
        super().__init__()
        self.register_buffer("direction", direction)
        self.register_buffer("limits", limits)

    @classmethod
    def of(cls, x: Tensor, widths: Sequence[int], agreement: Tensor | None) -> AgreementTrend:
        """The trends of blocks that say something of agreement.

        Args:
            x: Standardised training features, [B, F].
            widths: Features in each block.
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
        trends = x @ direction
        return cls(direction, torch.stack([trends.amin(0), trends.amax(0)]))

    @classmethod
    def constant(cls, num_features: int, count: int = 0) -> AgreementTrend:
        """Without trends, or with ``count`` that a state dict is to fill."""
        return cls(torch.zeros(num_features, count, dtype=torch.float64), torch.zeros(2, count, dtype=torch.float64))

    @property
    def count(self) -> int:
        """T."""
        return self.direction.shape[1]

    @property
    def prior_mean(self) -> Tensor:
        """Of each weight, [T], in probits: all blocks together one standard deviation up are worth `_AGREEMENT`."""
        return self.direction.new_full((self.count,), _AGREEMENT / max(1, self.count))

    @property
    def prior_deviation(self) -> Tensor:
        """Of each weight, [T]: no effect and twice the effect are one deviation away."""
        return self.prior_mean

    def forward(self, x: Tensor) -> Tensor:
        """From standardised features [B, F] to trends [B, T]."""
        return (x @ self.direction).clamp(*self.limits)

    def frozen(self, weights: Tensor, lengths: Tensor) -> dict[str, Any]:
        """The mean function as arguments of `FrozenGP`, whose features are also divided by the length scales [F]."""
        return {
            "direction": lengths.unsqueeze(1) * self.direction,
            "trend_range": self.limits.clone(),
            "trend_weights": weights.clone(),
        }


class PredictorTrend(nn.Module):
    """The latent mean of a predictor that was fitted elsewhere, beside agreement: a warm start.

    Both are trusted by half, and the labels decide, by marginal likelihood, which to trust more. Without trends of
    agreement the predictor has the whole trust. How many answers are right is taken to be as it says, unless labels
    tell otherwise.

    Args:
        base: The predictor.
        mean: Subtracted from features to standardise them for the new GP, [F].
        scale: What they are then divided by, [F].
        agreement: Of the same standardised features.
    """

    mean: Tensor
    scale: Tensor
    offset_scale = _OFFSET

    def __init__(self, base: FrozenGP, mean: Tensor, scale: Tensor, agreement: AgreementTrend) -> None:
        super().__init__()
        self.base = base
        self.agreement = agreement
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)

    @property
    def count(self) -> int:
        """T."""
        return 1 + self.agreement.count

    @property
    def prior_mean(self) -> Tensor:
        """Of each weight, [T]; the predictor's first, of which 1 is to trust it as it is."""
        share = 0.5 if self.agreement.count else 1.0
        return share * torch.cat([self.mean.new_ones(1), self.agreement.prior_mean])

    @property
    def prior_deviation(self) -> Tensor:
        """Of each weight, [T]."""
        share = 0.5 if self.agreement.count else 0.2
        return share * torch.cat([self.mean.new_ones(1), self.agreement.prior_deviation])

    def forward(self, x: Tensor) -> Tensor:
        """From standardised features [B, F] to trends [B, T]."""
        latent = self.base.latent_mean(x * self.scale + self.mean)
        return torch.cat([latent.unsqueeze(-1), self.agreement(x)], dim=-1)

    def frozen(self, weights: Tensor, lengths: Tensor) -> dict[str, Any]:
        """The mean function as arguments of `FrozenGP`."""
        agreement = self.agreement.frozen(weights[1:], lengths)
        return agreement | {"base": self.base, "base_weight": weights[0].clone()}


def empty_trend(num_features: int, count: int, warm_start: Mapping[str, Any] | None) -> Trend:
    """A trend with the right shapes for a state dict to fill.

    Args:
        num_features: F.
        count: T.
        warm_start: Arguments of `FrozenGP.of_shape` where the trend is a predictor.
    """
    zeros = torch.zeros(num_features, dtype=torch.float64)
    if warm_start is None:
        return AgreementTrend.constant(num_features, count)
    agreement = AgreementTrend.constant(num_features, count - 1)
    return PredictorTrend(FrozenGP.of_shape(**warm_start), zeros, zeros.clone(), agreement)
