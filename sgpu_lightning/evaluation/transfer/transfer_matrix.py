"""Matrices of a metric over sources and targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sgpu_lightning.evaluation.transfer.transfer_pair import ALIGNED, IN_DOMAIN, SHIFT, ZERO_SHOT, TransferResult

# Metric and setting of each matrix that is shown and drawn.
MATRIX_METRICS = (
    ("auroc", ZERO_SHOT),
    ("auroc", ALIGNED),
    ("auarc", ALIGNED),
    ("ece", ZERO_SHOT),
    ("ece", SHIFT),
)


def is_matrix(results: Sequence[TransferResult]) -> bool:
    """Whether every pair has a single source, so that results form a matrix of sources and targets."""
    return all(len(result.pair.sources) == 1 for result in results)


def matrix(results: Sequence[TransferResult], metric: str, name: str) -> tuple[np.ndarray, list[str], list[str]]:
    """Make the matrix of a metric over sources and targets.

    Args:
        results: Results of all pairs.
        metric: Name of the metric.
        name: Name of the setting; where source and target are the same, the in-domain figure is used.

    Returns:
        Values, float64 [sources, targets], NaN where there is no pair; names of the sources; names of the targets.
    """
    rows = list(dict.fromkeys(result.pair.source for result in results))
    columns = list(dict.fromkeys(result.pair.target for result in results))
    values = np.full((len(rows), len(columns)), np.nan)
    for result in results:
        found = result.get(IN_DOMAIN if result.pair.in_domain else name)
        if found is not None:
            values[rows.index(result.pair.source), columns.index(result.pair.target)] = found.metrics[metric]
    return values, rows, columns
