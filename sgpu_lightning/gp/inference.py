"""The optimal variational posterior for given kernel parameters, by Newton steps.

For a log-concave likelihood, the evidence lower bound is concave in q(u) = N(m, S) over whitened inducing values u. A
natural-gradient step of length 1 (Khan and Lin, AISTATS 2017) is then a Newton step: a handful of steps converge,
whereas plain gradients on m and S need hundreds. Shapes: n answer sets, M inducing points; all tensors float64.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sgpu_lightning.gp.likelihood import Observed, expected_log_prob

_MAX_STEPS = 50
_TOLERANCE = 1e-9  # nats per answer set
_MIN_VARIANCE = 1e-12


class Projection(NamedTuple):
    """The prior at n answer sets, given the whitened inducing values u ~ N(0, I).

    f | u has mean ``prior_mean`` + ``design``^T u and variance ``residual``.

    Args:
        design: [M, n].
        residual: [n].
        prior_mean: [n].
    """

    design: Tensor
    residual: Tensor
    prior_mean: Tensor

    def latent(self, posterior: Posterior) -> tuple[Tensor, Tensor]:
        """Mean and variance of f under the posterior, each [n]."""
        spread = ((posterior.covariance @ self.design) * self.design).sum(0)
        mean = self.prior_mean + posterior.mean @ self.design
        return mean, (self.residual + spread).clamp_min(_MIN_VARIANCE)

    def detach(self) -> Projection:
        """The same without gradients."""
        return Projection(*(part.detach() for part in self))


class Posterior(NamedTuple):
    """q(u) = N(mean, covariance).

    Args:
        mean: [M].
        covariance: [M, M].
    """

    mean: Tensor
    covariance: Tensor

    def divergence(self) -> Tensor:
        """KL(q || N(0, I)) in nats."""
        log_det = 2.0 * torch.linalg.cholesky(self.covariance).diagonal().log().sum()
        return 0.5 * (self.covariance.trace() + self.mean @ self.mean - len(self.mean) - log_det)

    def detach(self) -> Posterior:
        """The same without gradients."""
        return Posterior(*(part.detach() for part in self))


def bound(prior: Projection, posterior: Posterior, observed: Observed) -> Tensor:
    """The evidence lower bound of all n answer sets (nats), differentiable with respect to ``prior`` only.

    At the optimal posterior this is the whole derivative, because to first order the bound does not change with q.

    Args:
        prior: The prior at the answer sets.
        posterior: q.
        observed: The labels.
    """
    mean, variance = prior.latent(posterior)
    at = expected_log_prob(mean.detach(), variance.detach(), observed)
    change = at.slope @ (mean - mean.detach()) + 0.5 * at.curvature @ (variance - variance.detach())
    return at.value.sum() + change - posterior.divergence()


@torch.no_grad()
def best_posterior(prior: Projection, start: Posterior, observed: Observed) -> Posterior:
    """Find the q that maximises the bound.

    Args:
        prior: The prior at the answer sets.
        start: The q to start from; a start near the optimum saves steps.
        observed: The labels.
    """
    posterior, step = start, 1.0
    value = bound(prior, posterior, observed)
    for _ in range(_MAX_STEPS):
        candidate = _newton_step(prior, posterior, observed, step)
        reached = bound(prior, candidate, observed)
        rise = float(reached - value)
        if rise >= 0.0:
            posterior, value, step = candidate, reached, min(1.0, 2.0 * step)
        else:  # an overshoot, or round-off at the maximum
            step *= 0.5
        if abs(rise) < _TOLERANCE * float(observed.total):
            break
    return posterior


def _newton_step(prior: Projection, posterior: Posterior, observed: Observed, step: float) -> Posterior:
    """One natural-gradient step of length ``step``, from 0 to 1, in the natural parameters of q."""
    mean, variance = prior.latent(posterior)
    at = expected_log_prob(mean, variance, observed)
    weight = -at.curvature
    design = prior.design
    precision = (design * weight) @ design.mT
    precision.diagonal().add_(1.0)
    shift = design @ (at.slope + weight * (posterior.mean @ design))
    if step < 1.0:
        old = torch.linalg.inv(posterior.covariance)
        precision = step * precision + (1.0 - step) * old
        shift = step * shift + (1.0 - step) * (old @ posterior.mean)
    root = torch.linalg.cholesky(precision)
    solved = torch.cholesky_solve(shift[:, None], root)[:, 0]
    return Posterior(solved, torch.cholesky_inverse(root))
