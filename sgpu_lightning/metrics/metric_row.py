"""One row of the registry of metrics: names, direction, tables and implementations of a metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor
    from torchmetrics import Metric as TorchMetric

Table = Literal["fit", "compare", "compare_mean", "tested", "curve", "answer_curve", "transfer", "predictor"]
"""Tables that show metrics.

- ``fit``: the table of a fit, a validation and a test.
- ``compare``: the metrics that a comparison writes for each evaluation set.
- ``compare_mean``: the metrics that a comparison shows as means over evaluation sets.
- ``tested``: the metrics that a comparison tests with intervals and paired bootstraps.
- ``curve``: the table of a curve over labels or answers.
- ``answer_curve``: the metrics that the curve over answers compares.
- ``transfer``: the tables of a transfer.
- ``predictor``: the test figures that are stored with a predictor and shown on its card.
"""


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """One metric.

    Implementations are given as paths below ``sgpu_lightning.metrics``.

    Args:
        name: Key in tables, files and `bootstrap`, for example ``ece``.
        heading: Column heading for people, for example ``ECE``.
        higher_is_better: Whether a higher value is better; None if neither direction is better.
        takes: ``rank`` if the metric depends only on the order of the answers, so that it applies to any confidence
            score; ``probability`` if it depends on P(correct) itself.
        function_path: The pure function of ``(probs, labels)``, or of ``(probs)`` if ``needs_labels`` is False; None if
            there is only a tally form.
        tally_path: The function of a `Tally`, which the bootstrap evaluates on many resamples at once; None if the
            metric cannot be resampled.
        class_path: The torchmetrics class; None if there is none.
        needs_labels: Whether the pure function takes labels.
        tables: Tables that show the metric.
    """

    name: str
    heading: str
    higher_is_better: bool | None
    takes: Literal["rank", "probability"]
    function_path: str | None = None
    tally_path: str | None = None
    class_path: str | None = None
    needs_labels: bool = True
    tables: frozenset[Table] = frozenset()

    @property
    def lower_is_better(self) -> bool:
        """Whether a lower value is better."""
        return self.higher_is_better is False

    @property
    def function(self) -> Callable[..., Tensor]:
        """The pure function: a float64 scalar of probabilities and labels."""
        return self._load("function_path")

    @property
    def tally_form(self) -> Callable[..., Tensor]:
        """The function of a `Tally`: one value for each resample, [R]."""
        return self._load("tally_path")

    @property
    def metric_class(self) -> type[TorchMetric]:
        """The torchmetrics class."""
        return self._load("class_path")

    def evaluate(self, p_correct: Tensor, labels: Tensor, ranks: Tensor | None = None) -> float:
        """Compute the metric by its pure function.

        Args:
            p_correct: P(correct) of each answer, shape ``(n,)``, in [0, 1].
            labels: 1 if the answer is right else 0, shape ``(n,)``.
            ranks: Ranks in [0, 1] for the metrics that take ranks, shape ``(n,)``, see `unit_ranks`; None uses
                ``p_correct``.

        Example:
            >>> from torch import tensor
            >>> from sgpu_lightning.metrics.registry import METRICS
            >>> METRICS["auroc"].evaluate(tensor([0.2, 0.6, 0.6, 0.9]), tensor([0, 0, 1, 1]))
            0.875

        """
        values = ranks if self.takes == "rank" and ranks is not None else p_correct
        return float(self.function(values, labels) if self.needs_labels else self.function(values))

    def _load(self, field: str) -> Any:
        path = getattr(self, field)
        if path is None:
            raise ValueError(f"metric '{self.name}': expected a {field} in its registry row, got None")
        module, _, name = path.rpartition(".")
        return getattr(import_module(f"sgpu_lightning.metrics.{module}"), name)
