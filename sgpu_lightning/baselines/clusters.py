"""Clusters of answers that mean the same, and their entropies."""

from __future__ import annotations

import torch
from torch import Tensor


def cluster_labels(equivalent: Tensor) -> Tensor:
    """Put each answer, in order, into the first cluster whose first member it is equivalent to, else into a new one.

    Every answer is in exactly one cluster. (Farquhar et al.'s code lets a later cluster take an answer over from an
    earlier one; the two differ only where an answer is equivalent to two that are not equivalent to each other.)

    Args:
        equivalent: Whether two answers mean the same, symmetric, bool [b, n, n].

    Returns:
        The index of each answer's first member, int64 [b, n].
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
    """Whether two answers have the same label, bool [b, n, n]."""
    return labels.unsqueeze(2) == labels.unsqueeze(1)


def entropy_of_labels(labels: Tensor) -> Tensor:
    """Entropy of the frequencies of labels int64 [b, n], in nats, [b]."""
    shares = same_label(labels).double().mean(2)
    return -shares.log().mean(1)


def entropy_of_weights(labels: Tensor, log_weights: Tensor) -> Tensor:
    """Entropy of the clusters where each answer weighs exp(log_weights), normalised to sum to 1, in nats.

    Args:
        labels: Of the answers' clusters, int64 [b, n].
        log_weights: Of the answers, float64 [b, n].

    Returns:
        [b].
    """
    log_shares = cluster_log_weights(labels, log_weights.log_softmax(dim=1))
    # Summed over answers, each cluster would count once for each member: divide by the members.
    members = same_label(labels).double().sum(2)
    return -(log_shares.exp() * log_shares / members).sum(1)


def cluster_log_weights(labels: Tensor, log_weights: Tensor) -> Tensor:
    """For each answer the log of the summed weights of its cluster, [b, n]."""
    own = log_weights.unsqueeze(1).masked_fill(~same_label(labels), -torch.inf)
    return own.logsumexp(dim=2)


def count_components(adjacent: Tensor) -> Tensor:
    """Number of connected components of symmetric graphs, bool [b, n, n]; float64 [b]."""
    count = adjacent.shape[-1]
    reach = adjacent | torch.eye(count, dtype=torch.bool, device=adjacent.device)
    for _ in range(max(1, (count - 1).bit_length())):  # paths double in length each time
        reach = (reach.double() @ reach.double()) > 0
    # The first answer that each one reaches names its component.
    first = reach.int().argmax(dim=2)
    return (first == torch.arange(count, device=adjacent.device)).double().sum(1)
