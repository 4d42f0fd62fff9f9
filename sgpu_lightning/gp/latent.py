"""The latent Gaussian process: its mean, its kernel, and the priors on both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gpytorch
import torch
from torch import Tensor, nn

from sgpu_lightning.gp.frozen import SMOOTHNESS, KernelName
from sgpu_lightning.gp.prior_mean import Trend

_OUTPUT_SCALE = 0.1  # the kernel's variance a priori: small, so that few labels do not bend what the mean says
# Where the search starts, from the scales a priori (in logarithms). Rough functions first: from smooth ones it can end
# at an optimum that takes what a feature says finely for noise.
_LENGTH_START, _OUTPUT_START = -1.0, math.log(10.0)
_RANGE = 4.0  # a line search may try any number: scales stay within a factor of e^4 of those a priori


class LatentGP(gpytorch.models.ApproximateGP):
    """The latent function f: a mean linear in trends, scaled kernel, Cholesky variational distribution.

    Features of one block share a length scale: with one for each feature, 1000 sets are few and the kernel overfits.

    Args:
        inducing_points: Standardised features, float64 [M, F].
        kernel: ``rbf`` or a Matern kernel by its smoothness.
        widths: Features in each block, in order; they sum to F.
        trend: What the mean function goes by.
    """

    block_of: Tensor

    def __init__(self, inducing_points: Tensor, kernel: KernelName, widths: Sequence[int], trend: Trend) -> None:
        distribution = gpytorch.variational.CholeskyVariationalDistribution(len(inducing_points))
        strategy = gpytorch.variational.VariationalStrategy(self, inducing_points, distribution)
        super().__init__(strategy)
        blocks = torch.repeat_interleave(torch.arange(len(widths)), torch.tensor(widths))
        self.register_buffer("block_of", blocks, persistent=False)
        length, output = self._prior_length + _LENGTH_START, math.log(_OUTPUT_SCALE) + _OUTPUT_START
        self.log_length = nn.Parameter(torch.full((len(widths),), length, dtype=torch.float64))
        self.log_output = nn.Parameter(torch.tensor(output, dtype=torch.float64))
        self.mean_module = gpytorch.means.ConstantMean()
        self.trend = trend
        self.trend_weights = nn.Parameter(trend.prior_mean.clone())
        # Its own length scale stays 1: inputs come divided by ours.
        kernels: Any = gpytorch.kernels
        plain = kernels.RBFKernel() if kernel == "rbf" else kernels.MaternKernel(nu=SMOOTHNESS[kernel])
        self.covar_module = plain.double()  # first: 1.0 in float32 is not 1.0 after its softplus
        self.covar_module.lengthscale = 1.0
        self.covar_module.requires_grad_(False)

    @property
    def lengths(self) -> Tensor:
        """The length scale of each feature, [F]."""
        centre = self._prior_length
        return self.log_length.clamp(centre - _RANGE, centre + _RANGE).exp()[self.block_of]

    @property
    def output_scale(self) -> Tensor:
        """The kernel's variance, a scalar."""
        centre = math.log(_OUTPUT_SCALE)
        return self.log_output.clamp(centre - _RANGE, centre + _RANGE).exp()

    @property
    def _prior_length(self) -> float:
        # Standardised features lie sqrt(2 F) apart on average: far shorter, and every set is unlike any other.
        return 0.5 * math.log(len(self.block_of))

    def mean(self, x: Tensor) -> Tensor:
        """The prior mean at standardised features x [B, F], [B]."""
        return self.mean_module(x) + self.trend(x) @ self.trend_weights

    def covariance(self, a: Tensor, b: Tensor) -> Tensor:
        """k(a, b) for standardised features [n, F] and [m, F]."""
        return self.output_scale * self.covar_module(a / self.lengths, b / self.lengths).to_dense()

    def log_prior(self) -> Tensor:
        """Log density, up to a constant, of the priors on the kernel's parameters (nats).

        Log-normal with a factor of e at one standard deviation for the scales; normal for the weights of the trends:
        what holds few labels in place. The constant's prior, if any, is the trend's.
        """
        length, output = self.log_length - self._prior_length, self.log_output - math.log(_OUTPUT_SCALE)
        weights = (self.trend_weights - self.trend.prior_mean) / self.trend.prior_deviation
        return self._offset_prior() - 0.5 * (length.square().sum() + output.square() + weights.square().sum())

    def _offset_prior(self) -> Tensor | float:
        scale = self.trend.offset_scale
        return 0.0 if scale is None else -2.0 * torch.log1p((self.mean_module.constant / scale).square().sum() / 3.0)

    def forward(self, x: Tensor) -> gpytorch.distributions.MultivariateNormal:
        """The prior at standardised features x [B, F]."""
        covariance = self.covar_module(x / self.lengths) * self.output_scale
        return gpytorch.distributions.MultivariateNormal(self.mean(x), covariance)
