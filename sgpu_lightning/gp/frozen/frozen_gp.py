"""Prediction with a fitted GP as a plain torch module: neither GPyTorch nor Lightning is needed for it.

Shapes: B answer sets, F features, M inducing points, T basis functions of the prior mean; all tensors float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sgpu_lightning.gp.frozen.prediction import Prediction
from sgpu_lightning.gp.kernels import KernelName, correlation, require_kernel

_CHUNK = 4096  # rows predicted at a time, which bounds the memory


class FrozenTensors(NamedTuple):
    """The tensors of a `FrozenGP`.

    Args:
        mean: Mean that is subtracted from the features, [F].
        inverse_scale: Factor of the centred features: 1 / (standard deviation x length scale), [F].
        inducing: Inducing points Z in these units, [M, F].
        alpha: Weights of the posterior mean, [M].
        middle: Matrix M of the posterior variance, [M, M].
        constant: Constant c of the prior mean, a scalar.
        direction: D, from features in these units to the T basis functions of the prior mean, [F, T]; T may be 0.
        basis_range: Lowest and highest value of each basis function among the training sets, [2, T]. Outside this
            range, where there are no training sets, the prior mean is constant.
        mean_weights: Weights w of the basis functions, [T].
        output_scale: The kernel's output scale, a scalar.
        diagonal: k(x, x), a scalar.
        base_weight: Weight of the base predictor's latent mean, a scalar; None without a base predictor.
    """

    mean: Tensor
    inverse_scale: Tensor
    inducing: Tensor
    alpha: Tensor
    middle: Tensor
    constant: Tensor
    direction: Tensor
    basis_range: Tensor
    mean_weights: Tensor
    output_scale: Tensor
    diagonal: Tensor
    base_weight: Tensor | None = None

    @classmethod
    def zeros(cls, num_features: int, num_inducing: int, num_basis: int, *, with_base: bool) -> FrozenTensors:
        """Make zeros of the right shapes, which a state dict then fills."""

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64)

        return cls(
            mean=zeros(num_features),
            inverse_scale=zeros(num_features),
            inducing=zeros(num_inducing, num_features),
            alpha=zeros(num_inducing),
            middle=zeros(num_inducing, num_inducing),
            constant=zeros(),
            direction=zeros(num_features, num_basis),
            basis_range=zeros(2, num_basis),
            mean_weights=zeros(num_basis),
            output_scale=zeros(),
            diagonal=zeros(),
            base_weight=zeros() if with_base else None,
        )


class FrozenGP(nn.Module):
    """The latent posterior reduced to two matrix products.

    mu(x) = m(x) + k(x, Z) alpha and var(x) = k(x, x) + k(x, Z) M k(Z, x), for x standardised and divided by the length
    scales. The prior mean is m(x) = c + clip(x D, low, high) w + base_weight mu_base(x). `GPClassifier.freeze` makes
    one.

    Args:
        kernel: See `LatentGP`.
        tensors: Everything that was fitted.
        base: The predictor that this one was warm-started from, whose latent mean mu_base is a term of the prior mean;
            None without a warm start.
    """

    mean: Tensor
    inverse_scale: Tensor
    inducing: Tensor
    alpha: Tensor
    middle: Tensor
    constant: Tensor
    direction: Tensor
    basis_range: Tensor
    mean_weights: Tensor
    output_scale: Tensor
    diagonal: Tensor
    base_weight: Tensor

    def __init__(self, kernel: KernelName, tensors: FrozenTensors, base: FrozenGP | None = None) -> None:
        super().__init__()
        self.kernel: KernelName = kernel
        for name, tensor in tensors._asdict().items():
            self.register_buffer(name, tensor)
        self.base = base

    @classmethod
    def of_shape(
        cls,
        kernel: KernelName,
        num_features: int,
        num_inducing: int,
        num_basis: int = 0,
        base: Mapping[str, Any] | None = None,
    ) -> FrozenGP:
        """Make one with tensors of the right shapes, which a state dict then fills.

        Args:
            kernel: See `LatentGP`.
            num_features: Number of features F.
            num_inducing: Number of inducing points M.
            num_basis: Number of basis functions T.
            base: The same arguments for the predictor that it was warm-started from; None without a warm start.

        Raises:
            SGPUError: If the kernel is unknown.
        """
        require_kernel(kernel)
        tensors = FrozenTensors.zeros(num_features, num_inducing, num_basis, with_base=base is not None)
        return cls(kernel, tensors, None if base is None else cls.of_shape(**base))

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of `of_shape`, JSON-ready."""
        num_inducing, num_features = self.inducing.shape
        return {
            "kernel": self.kernel,
            "num_features": num_features,
            "num_inducing": num_inducing,
            "num_basis": len(self.mean_weights),
            "base": None if self.base is None else self.base.settings,
        }

    def forward(self, features: Tensor) -> Prediction:
        """Predict for features [B, F]; differentiable if gradients are enabled.

        Rows are independent: the batch size does not change the result.
        """
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
        if len(self.mean_weights):
            low, high = self.basis_range
            mean = mean + (x @ self.direction).clamp(low, high) @ self.mean_weights
        if self.base is not None:
            mean = mean + self.base_weight * self.base.latent_mean(features)
        return mean, cross
