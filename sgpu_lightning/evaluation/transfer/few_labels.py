"""A monotone map of P(correct) learned from a few target labels.

    logit p' = a logit p + b,   log a ~ N(0, s_a^2),   b ~ Student t with 3 degrees of freedom, scale s_b

This is Platt's map [Platt1999] with priors centred on the identity, averaged over its posterior. It works with 25
labels of a single class, and approaches Platt's map with a thousand labels. The prior of the offset has heavy tails,
because most targets are close to the source and some are far from it.

References:
    [Platt1999] Platt, "Probabilistic Outputs for Support Vector Machines", Advances in Large Margin Classifiers, 1999.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from sgpu_lightning.evaluation.common.calibration_maps import Map

SLOPE_SCALE, OFFSET_SCALE = 0.1, 0.1
_CLOSEST = 1e-6  # smallest distance of P(correct) from 0 and 1
_SLOPES, _OFFSETS = 33, 241  # numbers of grid nodes that the posterior is summed over
_NEGLIGIBLE = 1e-6  # proportion of the posterior below which a node is dropped


def few_label_map(p_correct: Tensor, labels: Tensor) -> Map:
    """Fit the map.

    Args:
        p_correct: P(correct) of the labelled answer sets by the source's predictor, [k], in [0, 1]; k may be 0.
        labels: 1.0 for a right answer, 0.0 for a wrong one, [k].

    Returns:
        An increasing map from P(correct) [n] to P(correct), float64 [n].
    """
    slope, offset, prior = _grid()
    z = _logit(p_correct)
    sign = 2.0 * labels.double() - 1.0
    # One slope at a time, because all nodes at once would not fit into memory with very many labels.
    parts = zip(torch.split(slope, _OFFSETS), torch.split(offset, _OFFSETS), strict=True)
    fit = torch.cat([logsigmoid(sign * (a[:, None] * z + b[:, None])).sum(1) for a, b in parts])
    weight = torch.softmax(prior + fit, 0)
    kept = weight > _NEGLIGIBLE
    slope, offset, weight = slope[kept], offset[kept], weight[kept] / weight[kept].sum()

    def apply(values: Tensor) -> Tensor:
        # Equal values are computed once; they are many where all answers of a set agree.
        distinct, where = torch.unique(_logit(values), return_inverse=True)
        return (weight @ torch.sigmoid(slope[:, None] * distinct + offset[:, None]))[where]

    return apply


def _logit(p: Tensor) -> Tensor:
    return torch.logit(p.double().clamp(_CLOSEST, 1.0 - _CLOSEST))


def _grid() -> tuple[Tensor, Tensor, Tensor]:
    """Slopes, offsets and log priors of the grid nodes, each [G]."""
    logs = torch.linspace(-0.8, 0.8, _SLOPES, dtype=torch.float64)
    offsets = torch.linspace(-4.0, 4.0, _OFFSETS, dtype=torch.float64)
    log, offset = (axis.reshape(-1) for axis in torch.meshgrid(logs, offsets, indexing="ij"))
    prior = -0.5 * (log / SLOPE_SCALE).square() - 2.0 * torch.log1p((offset / OFFSET_SCALE).square() / 3.0)
    return log.exp(), offset, prior
