"""Where inducing points lie, and how many there are."""

from __future__ import annotations

import torch
from torch import Tensor

_KMEANS_ROWS = 10_000
_DECIMALS = 6  # of standardised features, to which inducing points are told apart
NUM_INDUCING = 128  # as many again where sets are seen in several views, which are more to cover


def default_inducing(*, several_views: bool) -> int:
    """How many inducing points there are at most: 128, or 256 for several views of each set."""
    return NUM_INDUCING * (2 if several_views else 1)


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
