"""The metrics that every fit and evaluation reports, as one torchmetrics collection."""

from __future__ import annotations

from torchmetrics import MetricCollection

from sgpu_lightning.metrics.registry import in_table


def probability_metrics(prefix: str = "") -> MetricCollection:
    """Make the collection of the metrics of the table ``fit``: auroc, auarc, ece, ece_floor, brier and nll.

    Args:
        prefix: Put before every key, for example ``val/``.

    Example:
        >>> from torch import tensor
        >>> from sgpu_lightning.metrics import probability_metrics
        >>> metrics = probability_metrics("val/")
        >>> metrics.update(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]))
        >>> for key, value in metrics.compute().items():
        ...     print(key, round(value.item(), 3))
        val/auarc 0.729
        val/auroc 0.875
        val/brier 0.143
        val/ece 0.125
        val/ece_floor 0.282
        val/nll 0.439

    """
    return MetricCollection(
        {row.name: row.metric_class() for row in in_table("fit")},
        prefix=prefix or None,
        # Shared states would save 16 bytes per answer, but would need care in reset, clone and sync.
        compute_groups=False,
    )
