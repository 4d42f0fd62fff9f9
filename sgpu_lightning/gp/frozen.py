"""Prediction with a fitted GP as a plain torch module: neither GPyTorch nor Lightning is needed for it.

Shapes: B answer sets, F features, M inducing points; all tensors float64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from sgpu_lightning.errors import SGPUError, show_value

KernelName = Literal["rbf", "matern12", "matern32", "matern52"]
SMOOTHNESS = {"matern12": 0.5, "matern32": 1.5, "matern52": 2.5}
_CHUNK = 4096


class Prediction(NamedTuple):
    """What is predicted for B answer sets; every field is float64 [B].

    ``p_correct`` = Phi(mu / sqrt(1 + var)). Its entropy (nats) splits into ``data_entropy``, the expected
    entropy given f (the model disagrees with itself), and ``mutual_information`` (few such sets were seen).
    """

    p_correct: Tensor
    latent_mean: Tensor
    latent_variance: Tensor
    data_entropy: Tensor
    mutual_information: Tensor

    @classmethod
    def from_latent(cls, mean: Tensor, variance: Tensor) -> Prediction:
        """Complete the latent mean and variance."""
        p = torch.special.ndtr(mean / torch.sqrt(1.0 + variance))
        nodes, weights = _hermite(mean)
        values = mean.unsqueeze(-1) + torch.sqrt(2.0 * variance).unsqueeze(-1) * nodes
        data = (_binary_entropy(torch.special.ndtr(values)) * weights).sum(-1)
        return cls(p, mean, variance, data, (_binary_entropy(p) - data).clamp_min(0.0))

    @classmethod
    def cat(cls, parts: Sequence[Prediction]) -> Prediction:
        """Predictions of several batches as one."""
        return cls(*(torch.cat(field) for field in zip(*parts, strict=True)))


def _hermite(like: Tensor) -> tuple[Tensor, Tensor]:
    nodes, weights = _gauss_hermite()
    return like.new_tensor(nodes), like.new_tensor(weights)


@cache
def _gauss_hermite(order: int = 40) -> tuple[list[float], list[float]]:
    from numpy.polynomial.hermite import hermgauss

    nodes, weights = hermgauss(order)
    return nodes.tolist(), (weights / math.sqrt(math.pi)).tolist()


def _binary_entropy(p: Tensor) -> Tensor:
    return torch.special.entr(p) + torch.special.entr(1.0 - p)


class FrozenGP(nn.Module):
    """The latent posterior reduced to two matrix products.

    mu(x) = m(x) + k(x, Z) alpha and var(x) = k(x, x) + k(x, Z) M k(Z, x), for x standardised and divided by the length
    scales. The mean is m(x) = c + clip(x D, low, high) w + weight mu_base(x). `GPClassifier.freeze` makes one.

    Args:
        kernel: See `LatentGP`.
        mean: Subtracted from features, [F].
        inverse_scale: What they are then multiplied by: 1 / (standard deviation x length scale), [F].
        inducing: Inducing points Z in these units, [M, F].
        alpha: [M].
        middle: M, [M, M].
        constant: c, a scalar.
        direction: D, from features in these units to the T trends of the mean function, [F, T]; T may be 0.
        trend_range: What the trends were among the training sets, lowest and highest, [2, T]: the mean function is
            constant beyond, where nothing is known of it.
        trend_weights: w, [T].
        output_scale: The kernel's output scale, a scalar.
        diagonal: k(x, x), a scalar.
        base: The predictor this one was warm-started from, whose latent mean mu_base the mean function goes by.
        base_weight: By how much, a scalar; only with ``base``.
    """

    mean: Tensor
    inverse_scale: Tensor
    inducing: Tensor
    alpha: Tensor
    middle: Tensor
    constant: Tensor
    direction: Tensor
    trend_range: Tensor
    trend_weights: Tensor
    output_scale: Tensor
    diagonal: Tensor
    base_weight: Tensor

    def __init__(
        self,
        kernel: KernelName,
        *,
        mean: Tensor,
        inverse_scale: Tensor,
        inducing: Tensor,
        alpha: Tensor,
        middle: Tensor,
        constant: Tensor,
        direction: Tensor,
        trend_range: Tensor,
        trend_weights: Tensor,
        output_scale: Tensor,
        diagonal: Tensor,
        base: FrozenGP | None = None,
        base_weight: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.kernel: KernelName = kernel
        self.register_buffer("mean", mean)
        self.register_buffer("inverse_scale", inverse_scale)
        self.register_buffer("inducing", inducing)
        self.register_buffer("alpha", alpha)
        self.register_buffer("middle", middle)
        self.register_buffer("constant", constant)
        self.register_buffer("direction", direction)
        self.register_buffer("trend_range", trend_range)
        self.register_buffer("trend_weights", trend_weights)
        self.register_buffer("output_scale", output_scale)
        self.register_buffer("diagonal", diagonal)
        self.base = base
        self.register_buffer("base_weight", base_weight)

    @classmethod
    def of_shape(
        cls,
        kernel: KernelName,
        num_features: int,
        num_inducing: int,
        num_trends: int = 0,
        base: Mapping[str, Any] | None = None,
    ) -> FrozenGP:
        """One with the right shapes for a state dict to fill.

        Args:
            kernel: See `LatentGP`.
            num_features: F.
            num_inducing: M.
            num_trends: T.
            base: These arguments of the predictor it was warm-started from, if it was.

        Raises:
            SGPUError: If the kernel is unknown.
        """
        if kernel not in get_args(KernelName):
            raise SGPUError(f"kernel: expected one of {', '.join(get_args(KernelName))}, got {show_value(kernel)}")

        def empty(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64)

        return cls(
            kernel,
            mean=empty(num_features),
            inverse_scale=empty(num_features),
            inducing=empty(num_inducing, num_features),
            alpha=empty(num_inducing),
            middle=empty(num_inducing, num_inducing),
            constant=empty(),
            direction=empty(num_features, num_trends),
            trend_range=empty(2, num_trends),
            trend_weights=empty(num_trends),
            output_scale=empty(),
            diagonal=empty(),
            base=None if base is None else cls.of_shape(**base),
            base_weight=None if base is None else empty(),
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of `of_shape`, JSON-ready."""
        num_inducing, num_features = self.inducing.shape
        return {
            "kernel": self.kernel,
            "num_features": num_features,
            "num_inducing": num_inducing,
            "num_trends": len(self.trend_weights),
            "base": None if self.base is None else self.base.settings,
        }

    @torch.no_grad()
    def forward(self, features: Tensor) -> Prediction:
        """Predict for features [B, F]; rows are independent, so the batch size changes nothing."""
        with torch.autocast(device_type=features.device.type, enabled=False):
            if torch.compiler.is_compiling():  # an exported graph cannot count chunks
                return self._predict(features)
            return Prediction.cat([self._predict(chunk) for chunk in torch.split(features, _CHUNK)])

    def _predict(self, features: Tensor) -> Prediction:
        mean, cross = self._mean(features.double())
        variance = self.diagonal + ((cross @ self.middle) * cross).sum(-1)
        return Prediction.from_latent(mean, variance.clamp_min(1e-12))

    def latent_mean(self, features: Tensor) -> Tensor:
        """The latent mean alone, [B], for features [B, F]; differentiable."""
        return self._mean(features.double())[0]

    def _mean(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The latent mean [B] and k(x, Z) [B, M]."""
        x = (features - self.mean) * self.inverse_scale
        cross = self.output_scale * correlation(x, self.inducing, self.kernel)
        mean = self.constant + cross @ self.alpha
        if len(self.trend_weights):
            low, high = self.trend_range
            mean = mean + (x @ self.direction).clamp(low, high) @ self.trend_weights
        if self.base is not None:
            mean = mean + self.base_weight * self.base.latent_mean(features)
        return mean, cross


def correlation(a: Tensor, b: Tensor, kernel: KernelName) -> Tensor:
    """Unit-variance kernel between rows already divided by the length scales."""
    if kernel == "rbf":
        # |a - b|^2 = |a|^2 + |b|^2 - 2 a b: a matrix product is faster than distances, and no less exact where no root
        # is taken.
        half_squares = 0.5 * a.square().sum(-1, keepdim=True), 0.5 * b.square().sum(-1)
        return torch.exp(a @ b.mT - half_squares[0] - half_squares[1])
    nu = SMOOTHNESS[kernel]
    r = math.sqrt(2.0 * nu) * torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
    polynomials = {0.5: torch.ones_like(r), 1.5: 1.0 + r, 2.5: 1.0 + r + r.square() / 3.0}
    return polynomials[nu] * torch.exp(-r)
