"""Heat maps of a metric over sources and targets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sgpu_lightning.errors import EvaluationError

FORMATS = ("svg", "png")


def draw_heat_map(
    values: npt.NDArray[np.floating],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str,
    path: Path,
    lower_is_better: bool = False,
    row_title: str = "source",
) -> list[Path]:
    """Draw a matrix with its numbers, as SVG and PNG; lighter cells are better.

    Args:
        values: The matrix, [rows, columns]; NaN for an empty cell.
        rows: Names of the rows.
        columns: Names of the columns, the targets.
        title: Title above the map.
        path: Path of the files without suffix.
        lower_is_better: Whether lower values are better, which reverses the colours.
        row_title: Title of the row axis.

    Returns:
        The files written.

    Raises:
        EvaluationError: If matplotlib is not installed.
    """
    try:
        from matplotlib import colormaps
        from matplotlib.figure import Figure
    except ImportError as error:
        raise EvaluationError(
            "heat maps need matplotlib; install it by pip install 'sgpu-lightning[report]'"
        ) from error
    figure = Figure(figsize=(3.0 + 0.75 * len(columns), 2.2 + 0.45 * len(rows)), layout="constrained")
    axes = figure.subplots()
    colours = colormaps["viridis_r" if lower_is_better else "viridis"].with_extremes(bad="0.92")
    image = axes.imshow(np.ma.masked_invalid(values), cmap=colours, aspect="auto")
    axes.set_xticks(range(len(columns)), columns, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), rows)
    axes.set(title=title, xlabel="target", ylabel=row_title)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            light = sum(image.cmap(image.norm(value))[:3]) > 1.7
            axes.text(column, row, f"{value:.3f}", ha="center", va="center", color="black" if light else "white")
    path.parent.mkdir(parents=True, exist_ok=True)
    files = [path.with_name(f"{path.name}.{form}") for form in FORMATS]
    for file in files:
        figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None)
    return files
