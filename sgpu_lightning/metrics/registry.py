"""Registry of all metrics. Every table takes its columns, headings and directions from here.

To add a metric, write its pure function in ``metrics/functional``, its class in ``metrics``, and one row below.
Importing this module does not import torch: a row imports its functions and its class at their first use.

- ``METRICS["ece"]`` is a row: ``heading``, ``higher_is_better``, ``takes``, and the implementations ``function``,
  ``tally_form`` and ``metric_class``.
- ``in_table("compare")`` gives the rows that a table shows, and ``names("compare")`` their names, in the order of the
  table's columns.
- ``METRICS["auroc"].evaluate(p_correct, labels, ranks)`` computes a metric by its pure function, from P(correct) or,
  if the metric takes ranks, from the ranks.
- ``LOWER_IS_BETTER`` holds the names of the metrics for which lower is better.
- `sgpu_lightning.metrics.functional.bootstrap` takes the names in ``bootstrap_names()``: the rows with a tally form.
- `sgpu_lightning.metrics.probability_metrics` makes the torchmetrics collection of the table ``fit``.
"""

from __future__ import annotations

from sgpu_lightning.metrics.metric_row import MetricRow, Table

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
