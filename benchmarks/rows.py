"""Rows of the benchmark table: what was measured, the figure, the target, and whether it was reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measured figure.

    Args:
        what: What was measured.
        value: The figure.
        unit: Its unit; empty for a plain number.
        at_least: The target if higher is better; None for no lower limit.
        at_most: The target if lower is better; None for no upper limit. A row without a target is for information.
        note: The settings under which the figure holds.
        details: Further measurements for the JSON file.
    """

    what: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reached(self) -> bool | None:
        """Whether the figure reaches its target; None without a target."""
        if self.at_least is None and self.at_most is None:
            return None
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)

    @property
    def target(self) -> str:
        """The target as text."""
        parts = (("at least", self.at_least), ("at most", self.at_most))
        return ", ".join(f"{word} {_number(limit)}{_unit(self.unit)}" for word, limit in parts if limit is not None)

    @property
    def figure(self) -> str:
        """The value with its unit."""
        return _number(self.value) + _unit(self.unit)

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON-ready keys and values."""
        return {
            "what": self.what,
            "value": self.value,
            "unit": self.unit,
            "at_least": self.at_least,
            "at_most": self.at_most,
            "reached": self.reached,
            "note": self.note,
            "details": dict(self.details),
        }


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _unit(unit: str) -> str:
    return unit if unit in ("", "x") else f" {unit}"


def table_of(rows: Sequence[Row], failed: Mapping[str, str]) -> Table:
    """Show all rows as one table, followed by the benchmarks that failed with their errors.

    Args:
        rows: The measured rows.
        failed: Error messages of the benchmarks that failed, by name.
    """
    table = Table(show_lines=True)
    table.add_column("what was measured, and how")
    for name in ("figure", "target", "reached"):
        table.add_column(name, justify="right")
    words = {True: "[green]yes[/green]", False: "[red]NO[/red]", None: "-"}
    for row in rows:
        what = Text.assemble((row.what, "bold"), "\n", row.note)
        table.add_row(what, row.figure, row.target, words[row.reached])
    for name, error in failed.items():
        table.add_row(Text.assemble((f"{name} failed", "bold"), "\n", error), "", "", words[False])
    return table
