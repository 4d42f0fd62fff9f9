"""Fitting a GP's kernel and prior mean on precomputed features, by maximising the collapsed ELBO."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sgpu_lightning.gp.classifier import GPClassifier
from sgpu_lightning.gp.frozen.frozen_gp import FrozenGP
from sgpu_lightning.gp.inducing_points import NUM_INDUCING
from sgpu_lightning.gp.kernels import KernelName

_ITERATIONS = 5  # L-BFGS iterations in one optimiser step
KERNEL_SETS = 4096  # largest number of answer sets that the kernel is fitted on; the posterior is solved for all sets
PLATEAU = 0.05  # nats; a fit ends when a step raises the collapsed ELBO of all answer sets together by less than this


def fit_classifier(
    features: Tensor,
    labels: Tensor,
    widths: Sequence[int] | None = None,
    *,
    num_inducing: int = NUM_INDUCING,
    kernel: KernelName = "rbf",
    seed: int = 0,
    weight: Tensor | None = None,
    agreement: Tensor | None = None,
    warm_start: FrozenGP | None = None,
) -> GPClassifier:
    """Fit a GP on precomputed features without a Trainer; cross-validation does so hundreds of times.

    The optimisation is the same as in `SGPUModule` if nothing before the GP is learned.

    Args:
        features: Float64 [n, F].
        labels: 0.0 or 1.0, [n].
        widths: Number of features in each block; None if all features are one block.
        num_inducing: Largest number of inducing points; see `default_inducing`.
        kernel: See `LatentGP`.
        seed: Random seed of the k-means initialisation of inducing points, and of the choice of answer sets that the
            kernel is fitted on where there are more than `KERNEL_SETS`.
        weight: See `GPClassifier.collapsed_elbo`.
        agreement: See `GPClassifier.from_features`.
        warm_start: See `GPClassifier.from_features`.
    """
    classifier = GPClassifier.from_features(features, num_inducing, kernel, seed, widths, agreement, warm_start)
    some = kernel_sets(len(features), seed)
    _fit_kernel(classifier, features[some], labels[some], None if weight is None else weight[some])
    with torch.no_grad():
        classifier.collapsed_elbo(features, labels, weight)
    return classifier


def _fit_kernel(classifier: GPClassifier, features: Tensor, labels: Tensor, weight: Tensor | None) -> None:
    """Take L-BFGS steps until one no longer raises the collapsed ELBO; arguments as in `fit_classifier`."""
    optimizer = kernel_optimizer(classifier)
    size = len(features) if weight is None else float(weight.sum())
    reached, last = -math.inf, -math.inf

    def closure() -> Tensor:
        """The loss: minus the sum of collapsed ELBO and log prior, per answer set."""
        nonlocal reached
        optimizer.zero_grad()
        objective = classifier.collapsed_elbo(features, labels, weight) + classifier.latent.log_prior() / size
        (-objective).backward()
        reached = float(objective.detach())
        return -objective

    while (reached - last) * size >= PLATEAU or last == -math.inf:
        last = reached
        optimizer.step(closure)  # type: ignore[no-untyped-call]


def kernel_sets(count: int, seed: int = 0) -> Tensor:
    """Choose the training sets that the kernel is fitted on.

    Args:
        count: Number of training sets.
        seed: Random seed of the choice.

    Returns:
        Indices of all of them, or of `KERNEL_SETS` drawn at random.
    """
    if count <= KERNEL_SETS:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:KERNEL_SETS]


def kernel_optimizer(classifier: GPClassifier) -> torch.optim.LBFGS:
    """L-BFGS on `GPClassifier.kernel_parameters`; each step runs a few iterations."""
    return torch.optim.LBFGS(
        classifier.kernel_parameters(), max_iter=_ITERATIONS, max_eval=2 * _ITERATIONS, line_search_fn="strong_wolfe"
    )
