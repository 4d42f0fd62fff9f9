"""Tables of evaluations: shown in the terminal, and saved as CSV, Markdown and JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgpu_lightning.evaluation.common.methods import DEFAULT

if TYPE_CHECKING:
    from rich.table import Table

Row = Mapping[str, Any]
_TEXT = frozenset({"method", "kind", "set", "best", "verdict", "source", "target", "setting", "mean over"})


@dataclass(frozen=True)
class TitledTable:
    """A table with a title.

    Args:
        title: Title; empty for none in Markdown.
        columns: Keys of the rows to show.
        rows: The rows.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]

    def rich(self) -> Table:
        """The table for the terminal."""
        return rich_table(self.title, self.columns, self.rows)

    def markdown(self) -> str:
        """The table in Markdown, under its title as a heading."""
        heading = f"## {self.title}\n\n" if self.title else ""
        return heading + markdown(self.columns, self.rows) + "\n"


def rich_table(title: str, columns: Sequence[str], rows: Sequence[Row]) -> Table:
    """Make a table for the terminal, with the default method's row in bold.

    Args:
        title: Title above the table.
        columns: Keys of the rows to show.
        rows: The rows.
    """
    from rich.table import Table

    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="left" if column in _TEXT else "right")
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns), style="bold" if row.get("method") == DEFAULT else "")
    return table


def markdown(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Make a Markdown table.

    Args:
        columns: Keys of the rows to show.
        rows: The rows.
    """
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row[column]) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def save_tables(
    out: Path,
    *,
    rows: Mapping[str, Sequence[Row]],
    pages: Mapping[str, Sequence[TitledTable]],
    content: Mapping[str, Any],
) -> None:
    """Save an evaluation's tables into a folder, which is made where it is missing.

    Args:
        out: The folder.
        rows: Rows of each CSV file, by its name without suffix; the keys of the first row are the columns.
        pages: Tables of each Markdown file, by its name without suffix.
        content: Content of each JSON file, by its name without suffix.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name, table in rows.items():
        with (out / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(table[0]) if table else [])
            writer.writeheader()
            writer.writerows(table)
    for name, tables in pages.items():
        (out / f"{name}.md").write_text("\n".join(table.markdown() for table in tables), encoding="utf-8")
    for name, value in content.items():
        (out / f"{name}.json").write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
