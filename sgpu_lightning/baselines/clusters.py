"""Clusters of answers with the same meaning, their entropies, and components of graphs."""

from __future__ import annotations

import torch
from torch import Tensor


def cluster_labels(equivalent: Tensor) -> Tensor:
    """Cluster answers greedily, in order.

    Each answer joins the first cluster to whose first answer it is equivalent; if there is none, it starts a new one.
    Every answer is in exactly one cluster. (In the code of Farquhar et al., a later cluster may take over an answer of
    an earlier one. The results differ only if an answer is equivalent to two answers that are not equivalent to each
    other.)

    Args:
        equivalent: Whether two answers have the same meaning, symmetric, bool [b, n, n].

    Returns:
        Index of the first answer of each answer's cluster, int64 [b, n].
    """
    sets, count, _ = equivalent.shape
    labels = torch.zeros(sets, count, dtype=torch.long, device=equivalent.device)
    leads = torch.zeros(sets, count, dtype=torch.bool, device=equivalent.device)
    for i in range(count):
        fits = equivalent[:, :i, i] & leads[:, :i]
        found = fits.any(dim=1)
        first = fits.int().argmax(dim=1) if i else found.long()
        labels[:, i] = torch.where(found, first, i)
        leads[:, i] = ~found
    return labels


def same_label(labels: Tensor) -> Tensor:
    """Whether two answers are in the same cluster, bool [b, n, n]; cluster labels are int64 [b, n]."""
    return labels.unsqueeze(2) == labels.unsqueeze(1)


def entropy_of_labels(labels: Tensor) -> Tensor:
    """Entropy of the frequencies of cluster labels int64 [b, n], in nats, [b]."""
    frequencies = same_label(labels).double().mean(2)
    return -frequencies.log().mean(1)


def entropy_of_weights(labels: Tensor, log_weights: Tensor) -> Tensor:
    """Entropy of clusters weighted by exp(log_weights) of their answers, normalised to sum to 1, in nats.

    Args:
        labels: Cluster of each answer, int64 [b, n].
        log_weights: Log-weight of each answer, float64 [b, n].

    Returns:
        Float64 [b].
    """
    log_probabilities = cluster_log_weights(labels, log_weights.log_softmax(dim=1))
    # The sum runs over answers, so each term is divided by the size of its cluster to count every cluster once.
    sizes = same_label(labels).double().sum(2)
    return -(log_probabilities.exp() * log_probabilities / sizes).sum(1)


def cluster_log_weights(labels: Tensor, log_weights: Tensor) -> Tensor:
    """Log of the summed weights of each answer's cluster, [b, n].

    Args:
        labels: Cluster of each answer, int64 [b, n].
        log_weights: Log-weight of each answer, float64 [b, n].
    """
    own = log_weights.unsqueeze(1).masked_fill(~same_label(labels), -torch.inf)
    return own.logsumexp(dim=2)


def count_components(adjacent: Tensor) -> Tensor:
    """Number of connected components of each graph, float64 [b].

    Args:
        adjacent: Symmetric adjacency of the graphs, bool [b, n, n].
    """
    count = adjacent.shape[-1]
    reach = adjacent | torch.eye(count, dtype=torch.bool, device=adjacent.device)
    for _ in range(max(1, (count - 1).bit_length())):  # each product doubles the length of the paths
        reach = (reach.double() @ reach.double()) > 0
    # A component is identified by the first answer that its answers reach.
    first = reach.int().argmax(dim=2)
    return (first == torch.arange(count, device=adjacent.device)).double().sum(1)
