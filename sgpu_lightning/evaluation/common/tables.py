"""Tables of a comparison: for the terminal, and as CSV, Markdown and JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgpu_lightning.evaluation.common.evaluation_settings import CompareSettings
from sgpu_lightning.evaluation.common.methods import DEFAULT
from sgpu_lightning.evaluation.compare.comparison import SetResult, against_best, mean_over_sets

if TYPE_CHECKING:
    from rich.table import Table

Row = Mapping[str, Any]
_MEAN = ("method", "kind", "auroc", "auarc", "prr", "ece", "ece_floor", "brier", "nll", "better", "level", "worse")
_BEST: tuple[str, ...] = (
    "set",
    "n",
    "accuracy",
    "sgpu_auroc",
    "best",
    "best_auroc",
    "difference",
    "low",
    "high",
    "verdict",
)
_TEXT = frozenset({"method", "kind", "set", "best", "verdict", "source", "target", "setting", "mean over"})
_BEST += ("sgpu_ece", "ece_floor", "sgpu_brier", "best_brier")


def set_rows(result: SetResult) -> list[Row]:
    """One row for each method on one evaluation set, best AUROC first."""
    rows: list[Row] = []
    for one in sorted(result.results, key=lambda one: -one.metrics["auroc"]):
        low, high = one.intervals["auroc"]
        test = one.against["auroc"]
        rows.append(
            {"set": result.name, "method": one.method, "kind": one.kind, **one.metrics}
            | {"auroc_low": low, "auroc_high": high}
            | {"brier_low": one.intervals["brier"][0], "brier_high": one.intervals["brier"][1]}
            | {"sgpu_less_this": test.difference, "p_value": test.p_value}
        )
    return rows


def show(results: Sequence[SetResult], most: int = 15) -> list[Table]:
    """Tables for the terminal: each set if there are few, the mean over sets, and each set's best score.

    Args:
        results: Of the evaluation sets.
        most: Rows of a table of methods; SGPU's and the supervised ones are always there.
    """
    tables = []
    if len(results) <= 2:
        columns = ("method", "kind", "auroc", "auroc_low", "auroc_high", "auarc", "prr", "ece", "ece_floor", "brier")
        for result in results:
            title = f"{result.name}: {result.sets} answer sets, {result.accuracy:.1%} right"
            tables.append(rich_table(title, (*columns, "nll", "p_value"), _shorten(set_rows(result), most)))
    if len(results) > 1:
        title = f"mean over {len(results)} evaluation sets; sgpu's AUROC is significantly better / level / worse on"
        tables.append(rich_table(title, _MEAN, _shorten(mean_over_sets(results), most)))
        tables.append(rich_table("sgpu against the best unsupervised score of each set", _BEST, against_best(results)))
    return tables


def _shorten(rows: Sequence[Row], most: int) -> list[Row]:
    return [row for i, row in enumerate(rows) if i < most or row["kind"] != "unsupervised"]


def rich_table(title: str, columns: Sequence[str], rows: Sequence[Row]) -> Table:
    """A table for the terminal; the default method's row is bold."""
    from rich.table import Table

    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="left" if column in _TEXT else "right")
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns), style="bold" if row.get("method") == DEFAULT else "")
    return table


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def save(results: Sequence[SetResult], settings: CompareSettings, out: Path) -> None:
    """Write ``sets.csv``, ``mean.csv``, ``best.csv``, ``tables.md`` and ``compare.json`` into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    by_set = [row for result in results for row in set_rows(result)]
    mean, best = mean_over_sets(results), against_best(results)
    for name, rows in (("sets", by_set), ("mean", mean), ("best", best)):
        write_csv(out / f"{name}.csv", rows)
    parts = [f"## Mean over {len(results)} evaluation sets\n", markdown(_MEAN, mean)]
    parts += ["\n## Each set against its best unsupervised score\n", markdown(_BEST, best)]
    (out / "tables.md").write_text("\n".join(parts) + "\n", encoding="utf-8")
    left_out = {result.name: {"without label": result.left_out, "scores": result.reasons} for result in results}
    content = {"settings": asdict(settings), "sets": by_set, "mean": mean, "best": best, "left_out": left_out}
    (out / "compare.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows of like keys."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def markdown(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row[column]) for column in columns) + " |" for row in rows]
    return "\n".join(lines)
