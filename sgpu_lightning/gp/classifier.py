"""The approximate Gaussian process classifier on features of answer sets.

f ~ GP(m, k) on standardised features, y | f ~ Bernoulli(Phi(f)), sparse variational inference with whitened
inducing points (Hensman et al., AISTATS 2015). Prediction is closed form: P(correct) = Phi(mu / sqrt(1 + var)).
All in float64. Shapes: B answer sets, F features, M inducing points.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.standardisation import mean_and_scale
from sgpu_lightning.gp.frozen.freezing import frozen_form
from sgpu_lightning.gp.frozen.frozen_gp import FrozenGP
from sgpu_lightning.gp.frozen.prediction import Prediction
from sgpu_lightning.gp.inducing_points import NUM_INDUCING, kmeans_points
from sgpu_lightning.gp.inference import best_posterior, bound
from sgpu_lightning.gp.kernels import KernelName, require_kernel
from sgpu_lightning.gp.latent import LatentGP
from sgpu_lightning.gp.likelihood import Observed, gpytorch_likelihood
from sgpu_lightning.gp.prior_mean import AgreementBasis, MeanBasis, initial_basis


class GPClassifier(nn.Module):
    """Standardisation, latent GP and Bernoulli likelihood in one module.

    Use `from_features` to make one; the constructor alone only gives tensors of the right shapes, which a checkpoint
    fills.

    Args:
        widths: Number of features in each block; they sum to F. See `LatentGP`.
        num_inducing: Number of inducing points, M.
        kernel: See `LatentGP`.
        mean_basis: Basis functions of the prior mean; None for a constant mean.

    Raises:
        SGPUError: If the kernel is unknown.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, widths: Sequence[int], num_inducing: int, kernel: KernelName = "rbf", mean_basis: MeanBasis | None = None
    ) -> None:
        super().__init__()
        num_features = sum(widths)
        self.kernel = require_kernel(kernel)
        self.register_buffer("mean", torch.zeros(num_features, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(num_features, dtype=torch.float64))
        # Distinct points: equal ones would make the Cholesky factor of the first forward singular.
        points = torch.arange(num_inducing, dtype=torch.float64).unsqueeze(1).repeat(1, num_features)
        basis = AgreementBasis.constant(num_features) if mean_basis is None else mean_basis
        self.latent = LatentGP(points, kernel, widths, basis).double()
        self.likelihood = gpytorch_likelihood()
        self.latent.initialise_variational()

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
        """Make an unfitted classifier from training features: their mean and scale, and inducing points by k-means.

        Args:
            features: Float64 [n, F].
            num_inducing: Largest number of inducing points; there are fewer if there are fewer distinct rows.
            kernel: See `LatentGP`.
            seed: Random seed of the k-means initialisation of inducing points.
            widths: Number of features in each block; None if all features are one block.
            agreement: Sign of each feature's relation to agreement of the answers, [F], see
                `AnswerFeatures.agreement`; None for a constant mean.
            warm_start: A predictor fitted on other data with the same features; its latent mean becomes a term of the
                prior mean. None for a cold start.

        Raises:
            SGPUError: If a feature is not finite, or the predictor takes another number of features.
        """
        if not torch.isfinite(features).all():
            raise SGPUError("features: expected finite numbers, got NaN or infinity")
        features = features.detach().double().cpu()
        mean, scale = mean_and_scale(features)
        x = (features - mean) / scale
        points = kmeans_points(x, num_inducing, seed)
        blocks = widths or [features.shape[1]]
        basis = initial_basis(x, mean, scale, blocks, agreement, warm_start)
        classifier = cls(blocks, len(points), kernel, basis)
        classifier.mean.copy_(mean)
        classifier.scale.copy_(scale)
        classifier.latent.variational_strategy.inducing_points.data.copy_(points)
        return classifier

    def standardise(self, features: Tensor) -> Tensor:
        """Standardise features [B, F] by the training features' mean and standard deviation."""
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

    def collapsed_elbo(self, features: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
        """The ELBO per answer set (nats), maximised over the variational posterior; a scalar.

        The optimal posterior is solved for and stored. Gradients flow only to the parameters of kernel and prior mean.

        Args:
            features: Features of the whole training set, [n, F].
            labels: 0.0 or 1.0, [n].
            weight: Number of answer sets that each one counts for, [n]; None if each counts for one.
        """
        with torch.autocast(device_type=features.device.type, enabled=False):
            prior, observed = self.latent.projection(self.standardise(features)), Observed.of(labels, weight)
            posterior = best_posterior(prior.detach(), self.latent.posterior.detach(), observed)
            self.latent.set_posterior(posterior)
            return bound(prior, posterior, observed) / observed.total

    def kernel_parameters(self) -> list[nn.Parameter]:
        """Hyperparameters optimised by `collapsed_elbo`: those of the kernel and of the prior mean."""
        latent = self.latent
        return [latent.log_length, latent.log_output, latent.mean_weights, *latent.mean_module.parameters()]

    def forward(self, features: Tensor) -> Prediction:
        """Predict for features [B, F]; the numbers are those of the frozen GP (`freeze`).

        If gradients are enabled, they flow to the features and to all parameters.
        """
        with torch.autocast(device_type=features.device.type, enabled=False):
            return frozen_form(self.latent, self.kernel, self.mean, self.scale)(features)

    @torch.no_grad()
    def freeze(self) -> FrozenGP:
        """Return a plain module without gradients that predicts with the present parameters."""
        return frozen_form(self.latent, self.kernel, self.mean, self.scale)
