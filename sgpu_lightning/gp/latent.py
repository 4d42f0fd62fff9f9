"""The latent Gaussian process: its prior mean, its kernel, the priors on both, and its variational posterior."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gpytorch
import torch
from torch import Tensor, nn

from sgpu_lightning.gp.inference import Posterior, Projection
from sgpu_lightning.gp.kernels import KernelName, gpytorch_kernel
from sgpu_lightning.gp.prior_mean import MeanBasis

# Prior median of the kernel's variance: small, so that few labels do not bend the prior mean.
_OUTPUT_SCALE = 0.1
# The search starts at the prior medians times these factors (in logarithms), that is, at short length scales and a
# large variance. If it started from smooth functions, it could end at an optimum that treats a feature's fine structure
# as noise.
_LENGTH_START, _OUTPUT_START = -1.0, math.log(10.0)
_RANGE = 4.0  # scales stay within a factor of e^4 of their prior medians, whatever values a line search tries


class LatentGP(gpytorch.models.ApproximateGP):
    """The latent function f, with a prior mean linear in basis functions, a scaled kernel and a Cholesky posterior.

    Features of one block share a length scale: with one for each feature, the kernel overfits 1000 answer sets.

    Args:
        inducing_points: Standardised features, float64 [M, F].
        kernel: ``rbf`` or a Matern kernel, named by its smoothness.
        widths: Number of features in each block, in order; they sum to F.
        mean_basis: Basis functions of the prior mean.
    """

    block_of: Tensor

    def __init__(
        self, inducing_points: Tensor, kernel: KernelName, widths: Sequence[int], mean_basis: MeanBasis
    ) -> None:
        distribution = gpytorch.variational.CholeskyVariationalDistribution(len(inducing_points))
        strategy = gpytorch.variational.VariationalStrategy(self, inducing_points, distribution)
        super().__init__(strategy)
        blocks = torch.repeat_interleave(torch.arange(len(widths)), torch.tensor(widths))
        self.register_buffer("block_of", blocks, persistent=False)
        length, output = self._prior_length + _LENGTH_START, math.log(_OUTPUT_SCALE) + _OUTPUT_START
        self.log_length = nn.Parameter(torch.full((len(widths),), length, dtype=torch.float64))
        self.log_output = nn.Parameter(torch.tensor(output, dtype=torch.float64))
        self.mean_module = gpytorch.means.ConstantMean()
        self.mean_basis = mean_basis
        self.mean_weights = nn.Parameter(mean_basis.weight_mean.clone())
        self.covar_module = gpytorch_kernel(kernel)

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
    def jitter(self) -> float:
        """What GPyTorch adds to the diagonals of k(Z, Z) and k(x, x)."""
        return float(self.variational_strategy.jitter_val)

    @property
    def _prior_length(self) -> float:
        # Standardised features are sqrt(2 F) apart on average. With far shorter length scales, all sets are unrelated.
        return 0.5 * math.log(len(self.block_of))

    def mean(self, x: Tensor) -> Tensor:
        """The prior mean at standardised features x [B, F], [B]."""
        return self.mean_module(x) + self.mean_basis(x) @ self.mean_weights

    def covariance(self, a: Tensor, b: Tensor) -> Tensor:
        """k(a, b) for standardised features [n, F] and [m, F]."""
        return self.output_scale * self.covar_module(a / self.lengths, b / self.lengths).to_dense()

    def log_prior(self) -> Tensor:
        """Log density, up to a constant, of the priors on the hyperparameters (nats).

        The scales are log-normal, with a factor of e at one standard deviation; the weights of the basis functions are
        normal. These priors regularise fits to few labels. The mean basis gives the prior on the constant, if any.
        """
        length, output = self.log_length - self._prior_length, self.log_output - math.log(_OUTPUT_SCALE)
        weights = (self.mean_weights - self.mean_basis.weight_mean) / self.mean_basis.weight_deviation
        return self._log_prior_constant() - 0.5 * (length.square().sum() + output.square() + weights.square().sum())

    def _log_prior_constant(self) -> Tensor | float:
        scale = self.mean_basis.constant_scale
        return 0.0 if scale is None else -2.0 * torch.log1p((self.mean_module.constant / scale).square().sum() / 3.0)

    def forward(self, x: Tensor) -> gpytorch.distributions.MultivariateNormal:
        """The prior at standardised features x [B, F]."""
        covariance = self.covar_module(x / self.lengths) * self.output_scale
        return gpytorch.distributions.MultivariateNormal(self.mean(x), covariance)

    def initialise_variational(self) -> None:
        """Run GPyTorch's first forward now, because it overwrites the variational parameters, including loaded ones."""
        # GPyTorch adds random noise to the initial variational mean, which would make fits depend on the order of
        # calls.
        self.variational_strategy._variational_distribution.mean_init_std = 0.0
        with torch.no_grad():
            self(torch.zeros(1, len(self.block_of), dtype=torch.float64))

    def projection(self, x: Tensor) -> Projection:
        """The prior at standardised features x [n, F], given the whitened inducing values.

        It is computed as in GPyTorch's whitened strategy, with the inducing points held fixed.
        """
        points = self.variational_strategy.inducing_points.detach()
        prior = self.covariance(points, points) + self.jitter * torch.eye(len(points)).to(points)
        root = torch.linalg.cholesky(prior)
        design = torch.linalg.solve_triangular(root, self.covariance(points, x), upper=False)
        residual = self.output_scale + self.jitter - design.square().sum(0)
        return Projection(design, residual, self.mean(x))

    @property
    def posterior(self) -> Posterior:
        """The variational posterior over the whitened inducing values; differentiable."""
        kept = self.variational_strategy._variational_distribution
        root = kept.chol_variational_covar.tril()
        return Posterior(kept.variational_mean, root @ root.mT)

    @torch.no_grad()
    def set_posterior(self, posterior: Posterior) -> None:
        """Store a variational posterior in GPyTorch's parameters."""
        kept = self.variational_strategy._variational_distribution
        kept.variational_mean.copy_(posterior.mean)
        kept.chol_variational_covar.copy_(torch.linalg.cholesky(posterior.covariance))

    def __getstate__(self) -> dict[str, Any]:
        # GPyTorch caches tensors of its last call. copy.deepcopy refuses them if they carry gradients.
        self.variational_strategy._clear_cache()
        return self.__dict__
