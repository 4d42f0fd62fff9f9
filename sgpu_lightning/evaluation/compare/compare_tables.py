"""Tables of a comparison, for the terminal and for files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sgpu_lightning.evaluation.common.evaluation_settings import CompareSettings
from sgpu_lightning.evaluation.common.tables import Row, TitledTable, rich_table, save_tables
from sgpu_lightning.evaluation.compare.compare_summary import against_best, mean_over_sets, set_rows
from sgpu_lightning.evaluation.compare.comparison import SetResult
from sgpu_lightning.metrics.registry import names

if TYPE_CHECKING:
    from rich.table import Table

_MEAN = ("method", "kind", *names("compare_mean"), "better", "tie", "worse")
_INTERVAL = {"auroc": ("auroc_low", "auroc_high")}  # columns shown after a metric
_SET = ("method", "kind", *(column for name in names("compare_mean") for column in (name, *_INTERVAL.get(name, ()))))
_BEST = ("set", "n", "accuracy", "sgpu_auroc", "best", "best_auroc", "difference", "low", "high", "verdict")
_BEST_CALIBRATION = ("sgpu_ece", "ece_floor", "sgpu_brier", "best_brier")


def show(results: Sequence[SetResult], most: int = 15) -> list[Table]:
    """Make the tables for the terminal: each set if there are at most two, the mean over sets, and the best scores.

    Args:
        results: Results of the evaluation sets.
        most: Number of rows of a table of methods; SGPU's and the supervised ones are always there.
    """
    tables = []
    if len(results) <= 2:
        for result in results:
            title = f"{result.name}: {result.sets} answer sets, {result.accuracy:.1%} right"
            tables.append(rich_table(title, (*_SET, "p_value"), _shorten(set_rows(result), most)))
    if len(results) > 1:
        title = (
            f"mean over {len(results)} evaluation sets; better, tie, worse: number of sets by the test of sgpu's AUROC"
        )
        tables.append(rich_table(title, _MEAN, _shorten(mean_over_sets(results), most)))
        title = "sgpu against the best unsupervised score of each set"
        tables.append(rich_table(title, (*_BEST, *_BEST_CALIBRATION), against_best(results)))
    return tables


def _shorten(rows: Sequence[Row], most: int) -> list[Row]:
    return [row for i, row in enumerate(rows) if i < most or row["kind"] != "unsupervised"]


def save(results: Sequence[SetResult], settings: CompareSettings, out: Path) -> None:
    """Write ``sets.csv``, ``mean.csv``, ``best.csv``, ``tables.md`` and ``compare.json`` into a folder.

    Args:
        results: Results of the evaluation sets.
        settings: Settings of the comparison.
        out: The folder.
    """
    rows = {
        "sets": [row for result in results for row in set_rows(result)],
        "mean": mean_over_sets(results),
        "best": against_best(results),
    }
    title = "Each set against its best unsupervised score"
    page = [
        TitledTable(f"Mean over {len(results)} evaluation sets", _MEAN, rows["mean"]),
        TitledTable(title, (*_BEST, *_BEST_CALIBRATION), rows["best"]),
    ]
    left_out = {result.name: {"without label": result.left_out, "scores": result.reasons} for result in results}
    content = {"settings": asdict(settings), **rows, "left_out": left_out}
    save_tables(out, rows=rows, pages={"tables": page}, content={"compare": content})
