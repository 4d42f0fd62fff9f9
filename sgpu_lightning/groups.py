"""How much the answer sets of one group tell: less than as many sets of groups of their own.

Variants of one question are right or wrong together. A fit that counted each would learn the training questions'
peculiarities, and be far too sure. Counting each group by its design effect [Kish1965], 1 / (1 + (m - 1) rho), would in
turn throw away what differs between variants, as their answers do. The geometric mean of the two stands between.

References:
    [Kish1965] Kish, "Survey Sampling", Wiley, 1965, section 8.2.
    [Ridout1999] Ridout, Demetrio and Firth, "Estimating Intraclass Correlation for Binary Data", Biometrics 55, 1999.
"""

from __future__ import annotations

import torch
from torch import Tensor


def group_weight(groups: Tensor, labels: Tensor) -> Tensor | None:
    """How many answer sets each counts for in fitting: (1 + (m - 1) rho)^(-1/2) in a group of m.

    Args:
        groups: A number for each set's group, int64 [n]; see `group_key_hash`.
        labels: 1.0 right, 0.0 wrong, [n].

    Returns:
        Float64 [n], in (0, 1]; None where each counts for one.
    """
    _, where, sizes = torch.unique(groups, return_inverse=True, return_counts=True)
    correlation = intraclass_correlation(where, labels)
    if correlation == 0.0:
        return None
    return (1.0 + (sizes[where] - 1.0).double() * correlation).rsqrt()


def intraclass_correlation(groups: Tensor, labels: Tensor) -> float:
    """How alike the labels of a group are, by analysis of variance [Ridout1999].

    Args:
        groups: Likewise.
        labels: Likewise.

    Returns:
        From 0 (a group tells nothing of its labels) to 1; 0 where no group has two sets, or there is one group only.
    """
    labels = labels.double()
    _, where, sizes = torch.unique(groups, return_inverse=True, return_counts=True)
    count, number = len(labels), len(sizes)
    if number in (1, count):
        return 0.0
    means = torch.zeros(number, dtype=torch.float64).index_add_(0, where, labels) / sizes
    between = float((sizes * (means - labels.mean()).square()).sum()) / (number - 1)
    within = float((labels - means[where]).square().sum()) / (count - number)
    size = (count - float(sizes.square().sum()) / count) / (number - 1)
    total = between + (size - 1.0) * within
    return max(0.0, (between - within) / total) if total > 0.0 else 0.0
