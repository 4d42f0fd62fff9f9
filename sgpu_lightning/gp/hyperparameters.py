"""Learning a GP's kernel and mean on ready features, by the evidence at the best posterior."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sgpu_lightning.gp.classifier import GPClassifier
from sgpu_lightning.gp.frozen import FrozenGP, KernelName
from sgpu_lightning.gp.inducing_points import NUM_INDUCING

_ITERATIONS = 5  # of L-BFGS in a step
KERNEL_SETS = 4096  # sets are enough to learn a kernel by; the posterior is of all
PLATEAU = 0.05  # nats: a step that raises the evidence of all answer sets by less ends a fit


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
    """Fit a GP on ready features, without a trainer: what cross-validation calls hundreds of times.

    The same optimisation as `SGPUModule`'s for a GP alone.

    Args:
        features: Float64 [n, F].
        labels: 0.0 or 1.0, [n].
        widths: Features in each block; None: all are one block.
        num_inducing: Inducing points at most; see `default_inducing`.
        kernel: See `LatentGP`.
        seed: Of k-means, and of the sets the kernel is learned on where there are more than `KERNEL_SETS`.
        weight: See `GPClassifier.evidence`.
        agreement: See `GPClassifier.from_features`.
        warm_start: See `GPClassifier.from_features`.
    """
    classifier = GPClassifier.from_features(features, num_inducing, kernel, seed, widths, agreement, warm_start)
    optimizer, some = kernel_optimizer(classifier), kernel_sets(len(features), seed)
    part, part_labels, part_weight = features[some], labels[some], None if weight is None else weight[some]
    size = len(part) if part_weight is None else float(part_weight.sum())
    reached, last = -math.inf, -math.inf

    def closure() -> Tensor:
        """What the optimiser lowers: minus the evidence with the priors, per answer set."""
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
