"""The one list of metrics. Every table takes its columns, headings and directions from here.

To add a metric, write its pure function in ``metrics/functional``, its class in ``metrics``, and one row below.
Importing this module costs nothing: a row names its functions and its class, and imports them when they are used.

- ``METRICS["ece"]`` is a row: ``heading``, ``higher_is_better``, ``takes``, and the implementations ``function``,
  ``tally_form`` and ``metric_class``.
- ``in_table("compare")`` gives the rows that a table shows, ``names("compare")`` their names, both in the order in
  which tables show them.
- ``METRICS["auroc"].evaluate(p_correct, labels, ranks)`` computes a metric by its pure function, of whichever of
  P(correct) and ranks it takes.
- ``LOWER_IS_BETTER`` holds the names of the metrics for which lower is better.
- `sgpu_lightning.metrics.functional.bootstrap` takes the names in ``bootstrap_names()``: the rows with a tally form.
- `sgpu_lightning.metrics.probability_metrics` makes the torchmetrics collection of the table ``fit``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor
    from torchmetrics import Metric as TorchMetric

    from sgpu_lightning.metrics.functional.tally_counts import Tally

Table = Literal["fit", "compare", "compare_mean", "tested", "curve", "answer_curve", "transfer", "predictor"]
"""What shows a metric.

``fit`` is the table of a fit, a validation and a test. ``compare`` is what a comparison writes for each evaluation set,
``compare_mean`` what it shows as means, and ``tested`` what it tests with intervals and paired bootstraps. ``curve`` is
the table of curves, ``answer_curve`` what the curve over answers compares, ``transfer`` the tables of a transfer, and
``predictor`` the test figures stored with a predictor and shown on its card.
"""


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """One metric.

    Implementations are given as paths below ``sgpu_lightning.metrics``.

    Args:
        name: Key in tables, files and `bootstrap`, for example ``ece``.
        heading: Column heading for people, for example ``ECE``.
        higher_is_better: Whether a higher value is better; None where neither direction is.
        takes: ``rank`` if only the order of the answers counts, so that any confidence score will do; ``probability``
            if P(correct) itself is judged.
        function_path: The pure function of ``(probs, labels)``, or of ``(probs)`` if ``needs_labels`` is False. None
            where there is only a tally form.
        tally_path: The function of a `Tally` that the bootstrap evaluates on many resamples at once; None where the
            metric cannot be resampled.
        class_path: The torchmetrics class; None where there is none.
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
    def tally_form(self) -> Callable[[Tally], Tensor]:
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
            ranks: What a metric that takes ranks is computed of, shape ``(n,)``, in [0, 1], see `unit_ranks`; None for
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


_ROWS = (
    MetricRow(
        name="auroc",
        heading="AUROC",
        higher_is_better=True,
        takes="rank",
        function_path="functional.ranking.auroc",
        tally_path="functional.ranking.auroc_of_tally",
        class_path="ranking_metrics.AUROC",
        tables=frozenset(
            {"fit", "compare", "compare_mean", "tested", "curve", "answer_curve", "transfer", "predictor"}
        ),
    ),
    MetricRow(
        name="auarc",
        heading="AUARC",
        higher_is_better=True,
        takes="rank",
        function_path="functional.ranking.auarc",
        tally_path="functional.ranking.auarc_of_tally",
        class_path="ranking_metrics.AUARC",
        tables=frozenset({"fit", "compare", "compare_mean", "curve", "transfer", "predictor"}),
    ),
    MetricRow(
        name="aurac",
        heading="AURAC",
        higher_is_better=True,
        takes="rank",
        function_path="functional.ranking.aurac",
        tally_path="functional.ranking.aurac_of_tally",
        class_path="ranking_metrics.AURAC",
    ),
    MetricRow(
        name="aurc",
        heading="AURC",
        higher_is_better=False,
        takes="rank",
        function_path="functional.selective.aurc",
        tally_path="functional.selective.aurc_of_tally",
        class_path="selective_metrics.AURC",
    ),
    MetricRow(
        name="prr",
        heading="PRR",
        higher_is_better=True,
        takes="rank",
        function_path="functional.selective.prediction_rejection_ratio",
        tally_path="functional.selective.prr_of_tally",
        class_path="selective_metrics.PredictionRejectionRatio",
        tables=frozenset({"compare", "compare_mean"}),
    ),
    MetricRow(
        name="accuracy",
        heading="accuracy",
        higher_is_better=True,
        takes="rank",
        tally_path="functional.selective.accuracy_of_tally",
    ),
    MetricRow(
        name="accuracy_at_coverage",
        heading="accuracy at coverage 0.8",
        higher_is_better=True,
        takes="rank",
        function_path="functional.selective.accuracy_at_coverage",
        tally_path="functional.selective.accuracy_at_coverage_of_tally",
        class_path="selective_metrics.AccuracyAtCoverage",
    ),
    MetricRow(
        name="coverage_at_risk",
        heading="coverage at risk 0.1",
        higher_is_better=True,
        takes="rank",
        function_path="functional.selective.coverage_at_risk",
        tally_path="functional.selective.coverage_at_risk_of_tally",
        class_path="selective_metrics.CoverageAtRisk",
    ),
    MetricRow(
        name="ece",
        heading="ECE",
        higher_is_better=False,
        takes="probability",
        function_path="functional.calibration.expected_calibration_error",
        tally_path="functional.calibration.ece_of_tally",
        class_path="calibration_metrics.CalibrationError",
        tables=frozenset({"fit", "compare", "compare_mean", "curve", "answer_curve", "transfer", "predictor"}),
    ),
    MetricRow(
        name="ece_floor",
        heading="ECE floor",
        higher_is_better=None,
        takes="probability",
        function_path="functional.calibration.calibration_noise_floor",
        class_path="calibration_metrics.CalibrationNoiseFloor",
        needs_labels=False,
        tables=frozenset({"fit", "compare", "compare_mean", "curve"}),
    ),
    MetricRow(
        name="ace",
        heading="ACE",
        higher_is_better=False,
        takes="probability",
        function_path="functional.calibration.adaptive_calibration_error",
        tally_path="functional.calibration.ace_of_tally",
        class_path="calibration_metrics.AdaptiveCalibrationError",
        tables=frozenset({"compare"}),
    ),
    MetricRow(
        name="brier",
        heading="Brier",
        higher_is_better=False,
        takes="probability",
        function_path="functional.proper_scores.brier_score",
        tally_path="functional.proper_scores.brier_of_tally",
        class_path="proper_score_metrics.BrierScore",
        tables=frozenset(
            {"fit", "compare", "compare_mean", "tested", "curve", "answer_curve", "transfer", "predictor"}
        ),
    ),
    MetricRow(
        name="nll",
        heading="NLL",
        higher_is_better=False,
        takes="probability",
        function_path="functional.proper_scores.negative_log_likelihood",
        tally_path="functional.proper_scores.nll_of_tally",
        class_path="proper_score_metrics.NegativeLogLikelihood",
        tables=frozenset({"fit", "compare", "compare_mean", "curve", "predictor"}),
    ),
)

METRICS: dict[str, MetricRow] = {row.name: row for row in _ROWS}
LOWER_IS_BETTER = frozenset(row.name for row in _ROWS if row.lower_is_better)


def in_table(table: Table) -> tuple[MetricRow, ...]:
    """Rows of the metrics that a table shows, in its order of columns.

    Example:
        >>> from sgpu_lightning.metrics.registry import in_table
        >>> [row.heading for row in in_table("fit")]
        ['AUROC', 'AUARC', 'ECE', 'ECE floor', 'Brier', 'NLL']

    """
    return tuple(row for row in _ROWS if table in row.tables)


def names(table: Table) -> tuple[str, ...]:
    """Names of the metrics that a table shows, in its order of columns.

    Example:
        >>> from sgpu_lightning.metrics.registry import names
        >>> names("tested")
        ('auroc', 'brier')

    """
    return tuple(row.name for row in in_table(table))


def bootstrap_names() -> list[str]:
    """Names of the metrics that `bootstrap` can evaluate, in alphabetical order."""
    return sorted(row.name for row in _ROWS if row.tally_path)
