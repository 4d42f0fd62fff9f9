"""The approximate Gaussian process classifier on features of answer sets.

f ~ GP(c, k) on standardised features, y | f ~ Bernoulli(Phi(f)), sparse variational inference with whitened
inducing points (Hensman et al., AISTATS 2015). Prediction is closed form: P(correct) = Phi(mu / sqrt(1 + var)).
All in float64. Shapes: B answer sets, F features, M inducing points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import gpytorch
import torch
from torch import Tensor, nn

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.standardisation import mean_and_scale
from sgpu_lightning.gp.frozen import FrozenGP, KernelName, Prediction, correlation
from sgpu_lightning.gp.inducing_points import NUM_INDUCING, kmeans_points
from sgpu_lightning.gp.inference import Observed, Posterior, Projection, best_posterior, bound
from sgpu_lightning.gp.latent import LatentGP
from sgpu_lightning.gp.prior_mean import AgreementTrend, PredictorTrend, Trend


class GPClassifier(nn.Module):
    """Standardisation, latent GP and Bernoulli likelihood in one module.

    Make one with `from_features`; the constructor alone gives the right shapes for a checkpoint to fill.

    Args:
        widths: Features in each block; they sum to F. See `LatentGP`.
        num_inducing: M.
        kernel: See `LatentGP`.
        trend: What the mean function goes by; None for a constant mean.

    Raises:
        SGPUError: If the kernel is unknown.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, widths: Sequence[int], num_inducing: int, kernel: KernelName = "rbf", trend: Trend | None = None
    ) -> None:
        super().__init__()
        num_features = sum(widths)
        if kernel not in get_args(KernelName):
            raise SGPUError(f"kernel: expected one of {', '.join(get_args(KernelName))}, got '{kernel}'")
        self.kernel = kernel
        self.register_buffer("mean", torch.zeros(num_features, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(num_features, dtype=torch.float64))
        # Distinct points: equal ones would make the dummy forward's Cholesky factor singular.
        points = torch.arange(num_inducing, dtype=torch.float64).unsqueeze(1).repeat(1, num_features)
        trend = AgreementTrend.constant(num_features) if trend is None else trend
        self.latent = LatentGP(points, kernel, widths, trend).double()
        self.likelihood = gpytorch.likelihoods.BernoulliLikelihood()
        self._settle()

    @classmethod
    def from_features(
        cls,
        features: Tensor,
        num_inducing: int = NUM_INDUCING,
        kernel: KernelName = "rbf",
        seed: int = 0,
        widths: Sequence[int] | None = None,
        agreement: Tensor | None = None,
        warm_start: FrozenGP | None = None,
    ) -> GPClassifier:
        """Start from training features: their mean and scale, and k-means centres as inducing points.

        Args:
            features: Float64 [n, F].
            num_inducing: At most this many; fewer where there are fewer distinct rows.
            kernel: See `LatentGP`.
            seed: Of k-means.
            widths: Features in each block; None: all are one block.
            agreement: How each feature goes with agreement of the answers, see `AnswerFeatures.agreement`; None for a
                constant mean.
            warm_start: A predictor on the same features, fitted elsewhere, for the mean function to go by as well.

        Raises:
            SGPUError: If a feature is not finite, or the predictor takes others.
        """
        if not torch.isfinite(features).all():
            raise SGPUError("features: expected finite numbers, got NaN or infinity")
        features = features.detach().double().cpu()
        mean, scale = mean_and_scale(features)
        x = (features - mean) / scale
        points = kmeans_points(x, num_inducing, seed)
        blocks = widths or [features.shape[1]]
        agreeing = AgreementTrend.of(x, blocks, agreement)
        trend: Trend = agreeing
        if warm_start is not None:
            _check_base(warm_start, features.shape[1])
            trend = PredictorTrend(warm_start, mean, scale, agreeing)
        classifier = cls(blocks, len(points), kernel, trend)
        classifier.mean.copy_(mean)
        classifier.scale.copy_(scale)
        classifier.latent.variational_strategy.inducing_points.data.copy_(points)
        return classifier

    def _settle(self) -> None:
        """One forward now: GPyTorch's first one overwrites the variational parameters, also loaded ones."""
        # The random start that GPyTorch adds to the variational mean would make fits differ by call order.
        self.latent.variational_strategy._variational_distribution.mean_init_std = 0.0
        with torch.no_grad():
            self.latent(torch.zeros(1, len(self.mean), dtype=torch.float64))

    def standardise(self, features: Tensor) -> Tensor:
        """Features [B, F] in the training data's units."""
        return (features.double() - self.mean) / self.scale

    def elbo(self, features: Tensor, labels: Tensor, num_data: float) -> Tensor:
        """The evidence lower bound per answer set (nats), a scalar.

        Args:
            features: [B, F].
            labels: 0.0 or 1.0, [B].
            num_data: Size n of the whole training set.
        """
        with torch.autocast(device_type=features.device.type, enabled=False):
            latent = self.latent(self.standardise(features))
            fit = self.likelihood.expected_log_prob(labels.double(), latent).mean()
            return fit - self.latent.variational_strategy.kl_divergence() / num_data

    def evidence(self, features: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
        """The ELBO per answer set (nats) at the best posterior for the kernel and mean as they are.

        The posterior is solved for and kept; gradients flow to the parameters of kernel and mean only.

        Args:
            features: Of the whole training set, [n, F].
            labels: 0.0 or 1.0, [n].
            weight: How many answer sets each counts for, [n]; None: one each.
        """
        with torch.autocast(device_type=features.device.type, enabled=False):
            given, observed = self._project(self.standardise(features)), Observed.of(labels, weight)
            detached = Projection(*(part.detach() for part in given))
            posterior = best_posterior(detached, self._posterior(), observed)
            self._keep(posterior)
            return bound(given, posterior, observed) / observed.total

    def kernel_parameters(self) -> list[nn.Parameter]:
        """What `evidence` is a function of."""
        latent = self.latent
        return [latent.log_length, latent.log_output, latent.trend_weights, *latent.mean_module.parameters()]

    def _project(self, x: Tensor) -> Projection:
        """What GPyTorch's whitened strategy computes, with fixed inducing points."""
        latent = self.latent
        points = latent.variational_strategy.inducing_points.detach()
        jitter = float(latent.variational_strategy.jitter_val)
        prior = latent.covariance(points, points) + jitter * torch.eye(len(points)).to(points)
        root = torch.linalg.cholesky(prior)
        design = torch.linalg.solve_triangular(root, latent.covariance(points, x), upper=False)
        residual = latent.output_scale + jitter - design.square().sum(0)
        return Projection(design, residual, latent.mean(x))

    @torch.no_grad()
    def _posterior(self) -> Posterior:
        kept = self.latent.variational_strategy._variational_distribution
        root = kept.chol_variational_covar.tril()
        return Posterior(kept.variational_mean.clone(), root @ root.mT)

    @torch.no_grad()
    def _keep(self, posterior: Posterior) -> None:
        kept = self.latent.variational_strategy._variational_distribution
        kept.variational_mean.copy_(posterior.mean)
        kept.chol_variational_covar.copy_(torch.linalg.cholesky(posterior.covariance))

    def forward(self, features: Tensor) -> Prediction:
        """Predict with GPyTorch itself; `FrozenGP` gives the same, faster."""
        with torch.autocast(device_type=features.device.type, enabled=False):
            latent = self.latent(self.standardise(features))
            return Prediction.from_latent(latent.mean, latent.variance)

    @torch.no_grad()
    def freeze(self) -> FrozenGP:
        """The prediction as a plain module, for the parameters as they are now.

        With the whitened posterior N(m, S) and L L^T = k(Z, Z) + jitter: alpha = L^-T m, M = L^-T (S - I) L^-1.
        """
        strategy, length = self.latent.variational_strategy, self.latent.lengths
        output_scale = self.latent.output_scale
        points = strategy.inducing_points / length
        identity = torch.eye(len(points)).to(points)
        jitter = float(strategy.jitter_val)
        covariance = output_scale * correlation(points, points, self.kernel) + jitter * identity
        inverse = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), identity, upper=False)
        posterior = strategy._variational_distribution
        root = posterior.chol_variational_covar.tril()
        return FrozenGP(
            self.kernel,
            mean=self.mean.clone(),
            inverse_scale=1.0 / (self.scale * length),
            inducing=points,
            alpha=inverse.mT @ posterior.variational_mean,
            middle=inverse.mT @ (root @ root.mT - identity) @ inverse,
            constant=self.latent.mean_module.constant.reshape(()).clone(),
            output_scale=output_scale,
            diagonal=output_scale + jitter,  # GPyTorch adds the jitter to k(x, x) as well
            **self.latent.trend.frozen(self.latent.trend_weights, length),
        )


def _check_base(base: FrozenGP, num_features: int) -> None:
    if len(base.mean) != num_features:
        raise SGPUError(
            f"warm start: expected a predictor on the same {num_features} features, got one on {len(base.mean)}; use "
            "the same feature blocks"
        )
