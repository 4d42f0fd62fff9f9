"""Down-weights clustered records by their design effect.

A model tends to answer the variants of one question, the records of one group, right or wrong together. A fit that
counted each of many variants in full would learn the peculiarities of the training questions and be far too certain. By
the design effect [Kish1965] a cluster of m records is worth m / (1 + (m - 1) rho) independent ones, at most 1 / rho.
That bound ignores the differences between the variants, such as those of their answers, and clusters of a few records
are better counted in full. The limit used here is therefore three times as high.

References:
    [Kish1965] Kish, "Survey Sampling", Wiley, 1965, section 8.2.
    [Ridout1999] Ridout, Demetrio and Firth, "Estimating Intraclass Correlation for Binary Data", Biometrics 55, 1999.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from sgpu_lightning.answers.groups import group_key_hash
from sgpu_lightning.features.standardisation import standardised

_LIMIT = 3.0  # a cluster counts for this many times its effective size at the limit of many records, 1 / rho


def cluster_ids(models: Iterable[str], groups: Iterable[str]) -> Tensor:
    """Number the clusters. A cluster holds the records of one group that one model answered.

    Answers of several models to one question are separate clusters, because joining them made fits on several models
    transfer slightly worse.

    Args:
        models: The model that answered each record, [n].
        groups: The group of each record, [n].

    Returns:
        One number for each record, equal for records of one cluster, int64 [n].
    """
    keys = [group_key_hash(f"{model}\n{group}") for model, group in zip(models, groups, strict=True)]
    return torch.tensor(keys, dtype=torch.long)


def design_effect_weights(clusters: Tensor, labels: Tensor, features: Tensor) -> Tensor | None:
    """Compute the weight of each record in fitting: the records of a cluster together count for at most 3 / rho.

    rho is the intraclass correlation of the residuals of a ridge regression of the labels on the features. It cannot
    be estimated from a single cluster, in which case each record counts for one.

    Args:
        clusters: The cluster of each record, int64 [n]; see `cluster_ids`.
        labels: 1.0 right, 0.0 wrong, [n].
        features: Features of each record, finite, [n, F].

    Returns:
        Float64 [n], in (0, 1]; None if each record counts for one.
    """
    _, where, sizes = torch.unique(clusters, return_inverse=True, return_counts=True)
    if len(sizes) == len(clusters):
        return None
    correlation = intraclass_correlation(where, _ridge_residuals(features.double(), labels.double()))
    if correlation * float(sizes.max()) <= _LIMIT:
        return None
    return (_LIMIT / (correlation * sizes[where].double())).clamp_max(1.0)


def intraclass_correlation(clusters: Tensor, values: Tensor) -> float:
    """The intraclass correlation of values in clusters, estimated by analysis of variance [Ridout1999].

    Args:
        clusters: The cluster of each value, int64 [n].
        values: Float64 [n].

    Returns:
        A number from 0 (values of one cluster are no more alike than others) to 1 (they are equal). It is 0 if no
        cluster has two values, or if there is only one cluster.
    """
    _, where, sizes = torch.unique(clusters, return_inverse=True, return_counts=True)
    count, number = len(values), len(sizes)
    if number in (1, count):
        return 0.0
    means = torch.zeros(number, dtype=torch.float64).index_add_(0, where, values) / sizes
    between = float((sizes * (means - values.mean()).square()).sum()) / (number - 1)
    within = float((values - means[where]).square().sum()) / (count - number)
    size = (count - float(sizes.square().sum()) / count) / (number - 1)
    total = between + (size - 1.0) * within
    return max(0.0, (between - within) / total) if total > 0.0 else 0.0


def _ridge_residuals(features: Tensor, labels: Tensor) -> Tensor:
    """Residuals of a ridge regression of the labels on the standardised features, [n]; the penalty is F."""
    x = standardised(features)
    centred, width = labels - labels.mean(), x.shape[1]
    return centred - x @ torch.linalg.solve(x.mT @ x + width * torch.eye(width).to(x), x.mT @ centred)
