"""The approximate Gaussian process classifier on features of answer sets.

f ~ GP(c, k) on standardised features, y | f ~ Bernoulli(Phi(f)), sparse variational inference with whitened
inducing points (Hensman et al., AISTATS 2015). Prediction is closed form: P(correct) = Phi(mu / sqrt(1 + var)).
All in float64. Shapes: B answer sets, F features, M inducing points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, get_args

import gpytorch
import torch
from torch import Tensor, nn

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.frozen import SMOOTHNESS, FrozenGP, KernelName, Prediction, correlation
from sgpu_lightning.trend import AgreementTrend, PredictorTrend, Trend
from sgpu_lightning.variational import Observed, Posterior, Projection, best_posterior, bound

_KMEANS_ROWS = 10_000
_DECIMALS = 6  # of standardised features, to which inducing points are told apart
_OUTPUT_SCALE = 0.1  # the kernel's variance a priori: small, so that few labels do not bend what the mean says
# Where the search starts, from the scales a priori (in logarithms). Rough functions first: from smooth ones it can end
# at an optimum that takes what a feature says finely for noise.
_LENGTH_START, _OUTPUT_START = -1.0, math.log(10.0)
_RANGE = 4.0  # a line search may try any number: scales stay within a factor of e^4 of those a priori
_ITERATIONS = 5  # of L-BFGS in a step
NUM_INDUCING = 128  # as many again where sets are seen in several views, which are more to cover
KERNEL_SETS = 4096  # sets are enough to learn a kernel by; the posterior is of all
PLATEAU = 0.05  # nats: a step that raises the evidence of all answer sets by less ends a fit


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
        what holds few labels in place.
        """
        length, output = self.log_length - self._prior_length, self.log_output - math.log(_OUTPUT_SCALE)
        weights = (self.trend_weights - self.trend.prior_mean) / self.trend.prior_deviation
        return -0.5 * (length.square().sum() + output.square() + weights.square().sum())

    def forward(self, x: Tensor) -> gpytorch.distributions.MultivariateNormal:
        """The prior at standardised features x [B, F]."""
        covariance = self.covar_module(x / self.lengths) * self.output_scale
        return gpytorch.distributions.MultivariateNormal(self.mean(x), covariance)


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
        scale = features.std(0, correction=0)
        # A constant feature carries nothing; dividing by its round-off would make it look informative.
        scale = torch.where(scale > 1e-8, scale, torch.ones_like(scale))
        mean = features.mean(0)
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

    def elbo(self, features: Tensor, labels: Tensor, num_data: int) -> Tensor:
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


def fit_classifier(
    features: Tensor,
    labels: Tensor,
    widths: Sequence[int] | None = None,
    *,
    num_inducing: int | None = None,
    kernel: KernelName = "rbf",
    seed: int = 0,
    weight: Tensor | None = None,
    agreement: Tensor | None = None,
    warm_start: FrozenGP | None = None,
) -> GPClassifier:
    """Fit a GP on ready features, without a trainer: what cross-validation calls hundreds of times.

    The same optimisation as `SGPUModule`'s for a GP alone.

    Args:
        features: Float64 [n, F].
        labels: 0.0 or 1.0, [n].
        widths: Features in each block; None: all are one block.
        num_inducing: Inducing points at most; None for `default_inducing`.
        kernel: See `LatentGP`.
        seed: Of k-means, and of the sets the kernel is learned on where there are more than `KERNEL_SETS`.
        weight: See `GPClassifier.evidence`.
        agreement: See `GPClassifier.from_features`.
        warm_start: See `GPClassifier.from_features`.
    """
    num_inducing = num_inducing or default_inducing(several_views=weight is not None)
    classifier = GPClassifier.from_features(features, num_inducing, kernel, seed, widths, agreement, warm_start)
    optimizer, some = kernel_optimizer(classifier), kernel_sets(len(features), seed)
    part, part_labels, part_weight = features[some], labels[some], None if weight is None else weight[some]
    size = len(part) if part_weight is None else float(part_weight.sum())
    reached, last = -math.inf, -math.inf

    def closure() -> Tensor:
        nonlocal reached
        optimizer.zero_grad()
        gain = classifier.evidence(part, part_labels, part_weight) + classifier.latent.log_prior() / size
        (-gain).backward()
        reached = float(gain.detach())
        return -gain

    while (reached - last) * size >= PLATEAU or last == -math.inf:
        last = reached
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        classifier.evidence(features, labels, weight)
    return classifier


def default_inducing(*, several_views: bool) -> int:
    """How many inducing points there are at most: 128, or 256 for several views of each set."""
    return NUM_INDUCING * (2 if several_views else 1)


def kernel_sets(count: int, seed: int = 0) -> Tensor:
    """Which of ``count`` training sets the kernel is learned on: all, or `KERNEL_SETS` drawn by ``seed``."""
    if count <= KERNEL_SETS:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:KERNEL_SETS]


def kernel_optimizer(classifier: GPClassifier) -> torch.optim.LBFGS:
    """L-BFGS on what `GPClassifier.evidence` is a function of; a step is a few iterations."""
    return torch.optim.LBFGS(
        classifier.kernel_parameters(), max_iter=_ITERATIONS, max_eval=2 * _ITERATIONS, line_search_fn="strong_wolfe"
    )


def kmeans_points(features: Tensor, most: int, seed: int = 0) -> Tensor:
    """At most ``most`` inducing points: k-means centres of distinct rows (at most 10,000, drawn by ``seed``).

    Many answer sets agree wholly and share one row: over distinct rows no two centres coincide. Rows that differ
    by round-off count as one.
    """
    from sklearn.cluster import KMeans

    distinct = torch.unique(features.round(decimals=_DECIMALS), dim=0)
    if len(distinct) > _KMEANS_ROWS:
        order = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed))
        distinct = distinct[order[:_KMEANS_ROWS]]
    if len(distinct) <= most:
        return distinct
    fitted = KMeans(most, n_init=1, random_state=seed).fit(distinct.numpy())
    return torch.unique(torch.from_numpy(fitted.cluster_centers_).to(features), dim=0)
