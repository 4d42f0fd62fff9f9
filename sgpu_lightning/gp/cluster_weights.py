"""How much variants of one question tell: less than as many questions.

A model answers variants of one question, the sets of one group, right or wrong together. A fit that counted all of many
variants would learn the training questions' peculiarities, and be far too sure. By the design effect [Kish1965] a group
of m is worth m / (1 + (m - 1) rho) sets, never more than 1 / rho. That throws away what differs between variants, as
the answers to them do, and a few are better counted whole: the limit is three times as high.

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

_LIMIT = 3.0  # times what the design effect leaves of a very large group


def variants_of(models: Iterable[str], groups: Iterable[str]) -> Tensor:
    """Which answer sets are one model's answers to variants of one question: equal numbers, int64 [n].

    Answers of several models to a question count for one each: taking them for variants made fits on several models
    transfer a little worse.

    Args:
        models: Who answered each set, [n].
        groups: Of each set, [n].
    """
    keys = [group_key_hash(f"{model}\n{group}") for model, group in zip(models, groups, strict=True)]
    return torch.tensor(keys, dtype=torch.long)


def group_weight(groups: Tensor, labels: Tensor, features: Tensor) -> Tensor | None:
    """How many answer sets each counts for in fitting: at most 3 / rho all sets of a group together.

    rho is the intraclass correlation of what the features do not tell of the labels. From a single group it cannot be
    told, and then each set counts for one.

    Args:
        groups: A number for each set's group, int64 [n]; see `variants_of`.
        labels: 1.0 right, 0.0 wrong, [n].
        features: Finite, [n, F].

    Returns:
        Float64 [n], in (0, 1]; None where each counts for one.
    """
    _, where, sizes = torch.unique(groups, return_inverse=True, return_counts=True)
    if len(sizes) == len(groups):
        return None
    correlation = intraclass_correlation(where, _untold(features.double(), labels.double()))
    if correlation * float(sizes.max()) <= _LIMIT:
        return None
    return (_LIMIT / (correlation * sizes[where].double())).clamp_max(1.0)


def intraclass_correlation(groups: Tensor, values: Tensor) -> float:
    """How alike the values of a group are, by analysis of variance [Ridout1999].

    Args:
        groups: Likewise.
        values: [n].

    Returns:
        From 0 (a group tells nothing of its values) to 1; 0 where no group has two sets, or there is one group only.
    """
    _, where, sizes = torch.unique(groups, return_inverse=True, return_counts=True)
    count, number = len(values), len(sizes)
    if number in (1, count):
        return 0.0
    means = torch.zeros(number, dtype=torch.float64).index_add_(0, where, values) / sizes
    between = float((sizes * (means - values.mean()).square()).sum()) / (number - 1)
    within = float((values - means[where]).square().sum()) / (count - number)
    size = (count - float(sizes.square().sum()) / count) / (number - 1)
    total = between + (size - 1.0) * within
    return max(0.0, (between - within) / total) if total > 0.0 else 0.0


def _untold(features: Tensor, labels: Tensor) -> Tensor:
    """What a ridge regression on the standardised features leaves of the labels, [n]; its penalty is F."""
    x = standardised(features)
    centred, width = labels - labels.mean(), x.shape[1]
    return centred - x @ torch.linalg.solve(x.mT @ x + width * torch.eye(width).to(x), x.mT @ centred)
