"""The likelihood: y | f ~ Bernoulli(Phi(f)), a Bernoulli with a probit link.

This file holds everything that follows from it for a Gaussian latent f ~ N(mean, variance): P(correct), the split of
its entropy, and the expected log-likelihood with its derivatives. Shapes: n answer sets; all tensors float64.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

_ENTROPY_NODES = 40  # Gauss-Hermite nodes for the expected entropy
_LOG_NODES = 16  # for E[log Phi], which is smooth: 8 nodes agree with 100 to 1e-14 at the variances that occur


def gauss_hermite(order: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes x_i and weights w_i with E[g(f)] = sum_i w_i g(mean + sqrt(2 variance) x_i) for f ~ N(mean, variance).

    Exact for polynomials g of degree up to 2 ``order`` - 1.

    Args:
        order: Number of nodes.
        like: A tensor with the device and dtype of the result.

    Returns:
        Nodes and weights, each [order]; the weights sum to 1.
    """
    nodes, weights = _gauss_hermite(order)
    return like.new_tensor(nodes), like.new_tensor(weights)


@cache
def _gauss_hermite(order: int) -> tuple[list[float], list[float]]:
    from numpy.polynomial.hermite import hermgauss

    nodes, weights = hermgauss(order)
    return nodes.tolist(), (weights / math.sqrt(math.pi)).tolist()


def p_correct(mean: Tensor, variance: Tensor) -> Tensor:
    """P(y = 1) = E[Phi(f)] = Phi(mean / sqrt(1 + variance)), in closed form; [n].

    Args:
        mean: Mean of f, [n].
        variance: Variance of f, [n].
    """
    return torch.special.ndtr(mean / torch.sqrt(1.0 + variance))


def expected_entropy(mean: Tensor, variance: Tensor) -> Tensor:
    """E[H(y | f)] in nats, [n]: the entropy that remains if f is known.

    Args:
        mean: Mean of f, [n].
        variance: Variance of f, [n].
    """
    nodes, weights = gauss_hermite(_ENTROPY_NODES, mean)
    values = mean.unsqueeze(-1) + torch.sqrt(2.0 * variance).unsqueeze(-1) * nodes
    return (binary_entropy(torch.special.ndtr(values)) * weights).sum(-1)


def binary_entropy(p: Tensor) -> Tensor:
    """The entropy (nats) of a Bernoulli variable with probability ``p``, in the shape of ``p``."""
    return torch.special.entr(p) + torch.special.entr(1.0 - p)


class Observed(NamedTuple):
    """Observed labels, each field [n].

    Args:
        sign: 1.0 where the label is 1, else -1.0.
        weight: Number of answer sets that each one counts for; several answer subsets of one set share its weight.
    """

    sign: Tensor
    weight: Tensor

    @classmethod
    def of(cls, labels: Tensor, weight: Tensor | None = None) -> Observed:
        """Make it from labels 0.0 or 1.0, [n], and weights, [n]; None if each answer set counts for one."""
        labels = labels.double()
        return cls(2.0 * labels - 1.0, torch.ones_like(labels) if weight is None else weight.double())

    @property
    def total(self) -> Tensor:
        """The sum of the weights, a scalar: the effective number of answer sets."""
        return self.weight.sum()


class Expectation(NamedTuple):
    """E[log Phi(s f)] for f ~ N(mean, variance) and its first two derivatives with respect to the mean; each [n].

    Half the second derivative is the derivative with respect to the variance.
    """

    value: Tensor
    slope: Tensor
    curvature: Tensor


def expected_log_prob(mean: Tensor, variance: Tensor, observed: Observed) -> Expectation:
    """The expected log-likelihood by Gauss-Hermite quadrature, times the weights.

    Args:
        mean: Mean of f, [n].
        variance: Variance of f, [n].
        observed: The labels.
    """
    sign, weight = observed
    nodes, weights = gauss_hermite(_LOG_NODES, mean)
    margin = sign[:, None] * (mean[:, None] + variance.sqrt()[:, None] * (nodes * math.sqrt(2.0)))
    # phi(x) / Phi(x), where Phi(x) = erfcx(-x / sqrt 2) exp(-x^2 / 2) / 2: stable for large |x| of either sign.
    ratio = math.sqrt(2.0 / math.pi) / torch.special.erfcx(margin * -math.sqrt(0.5))
    return Expectation(
        weight * (torch.special.log_ndtr(margin) @ weights),
        weight * sign * (ratio @ weights),
        -weight * ((ratio * (ratio + margin)) @ weights),
    )


def gpytorch_likelihood() -> Any:
    """The same likelihood as a GPyTorch module without parameters, for the ELBO of a minibatch.

    GPyTorch differentiates through its own quadrature. Its log Phi has an error of up to 2e-3 far in the tail.
    """
    from gpytorch.likelihoods import BernoulliLikelihood

    return BernoulliLikelihood()
