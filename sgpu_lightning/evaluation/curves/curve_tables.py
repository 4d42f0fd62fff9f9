"""Saves the points and tables of a curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sgpu_lightning.evaluation.common.tables import Row, TitledTable, save_tables
from sgpu_lightning.evaluation.curves.curve_points import Point


def save(points: Sequence[Point], tables: Mapping[str, Sequence[Row]], axis: str, settings: Any, out: Path) -> None:
    """Write ``sets.csv``, a CSV file for each table, ``tables.md`` and ``curve.json`` into a folder.

    Args:
        points: Points of all files.
        tables: Rows of each table, by its name.
        axis: Name of the size, ``labels`` or ``answers``.
        settings: Settings dataclass of the curve.
        out: The folder.
    """
    by_set: list[Row] = [
        {"set": point.set, axis: point.size, "method": point.method, "kind": point.kind} | point.metrics
        for point in points
    ]
    rows = {"sets": by_set, **tables}
    page = [TitledTable("", tuple(table[0]), table) for table in tables.values() if table]
    save_tables(out, rows=rows, pages={"tables": page}, content={"curve": {"settings": asdict(settings), **rows}})
