"""The number of inducing points, and their placement by k-means."""

from __future__ import annotations

import torch
from torch import Tensor

_KMEANS_ROWS = 10_000
_DECIMALS = 6  # decimals of standardised features up to which rows count as distinct
NUM_INDUCING = 128  # doubled for a fit on answer subsets, whose spectra vary more


def default_inducing(*, answer_subsets: bool) -> int:
    """The largest number of inducing points.

    Args:
        answer_subsets: Whether a fit also sees subsets of the answers of each training set.

    Returns:
        128, or 256 with answer subsets.
    """
    return NUM_INDUCING * (2 if answer_subsets else 1)


def kmeans_points(features: Tensor, most: int, seed: int = 0) -> Tensor:
    """Place inducing points at the k-means centres of the distinct rows.

    Answer sets whose answers all agree often have equal rows. Only distinct rows are used, so that no two centres
    coincide. Rows that differ only by round-off count as one.

    Args:
        features: Standardised training features, [n, F].
        most: Largest number of inducing points; there are fewer if there are fewer distinct rows.
        seed: Random seed of k-means, and of the choice of 10,000 rows if more are distinct.

    Returns:
        Inducing points, [M, F].
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
