"""``sgpu curve``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import auto_cli

from sgpu_lightning.cli.paths import files_first, with_underscores
from sgpu_lightning.evaluation.common.evaluation_settings import AnswerSettings, LabelSettings, check_sizes

if TYPE_CHECKING:
    from rich.console import Console


def labels(files: list[str], *, out: Path | None = None, rows: int = 5, **settings: Any) -> None:
    """P(correct) from few labels: SGPU, cold and warm-started, and every other score, fitted on the same labelled sets.

    Args:
        files: Answer files and stores.
        out: Folder for the tables as CSV, Markdown and JSON; null to only show them.
        rows: Unsupervised scores shown, the best by AUROC.
        settings: See `LabelSettings`.
    """
    from sgpu_lightning.evaluation.common.set_reader import read
    from sgpu_lightning.evaluation.common.tables import rich_table
    from sgpu_lightning.evaluation.curves.curve_points import mean_over_sets
    from sgpu_lightning.evaluation.curves.curve_tables import save
    from sgpu_lightning.evaluation.curves.label_curve import LabelCurve, against_best, shorten

    chosen = LabelSettings(**settings)
    check_sizes("rows", [rows], 0)
    console = _start()
    sets = [read(path, chosen) for path in _track(files, "read", console)]
    curve = LabelCurve(sets, chosen)
    for data in _track(sets, "fit", console):
        curve.add(data)
    for note in curve.notes:
        console.print(note, highlight=False)
    mean = mean_over_sets(curve.points, "labels")
    against = against_best(mean)
    title = f"mean over files and {chosen.draws} draws; the {rows} best unsupervised scores by AUROC, with hindsight"
    console.print(rich_table(title, tuple(mean[0]), shorten(mean, rows)))
    if against:
        title = "sgpu less the best unsupervised score, chosen with hindsight by its mean"
        console.print(rich_table(title, tuple(against[0]), against))
    if out is not None:
        save(curve.points, {"mean": mean, "against": against}, "labels", chosen, out)
        console.print(f"tables are in {out}")


def answers(files: list[str], *, out: Path | None = None, **settings: Any) -> None:
    """P(correct) from fewer answers: one predictor for any number of them against one for each number.

    ``one`` is fitted on all answers, ``subsets`` on random views with fewer as well, ``per n`` on just as many as it is
    evaluated with. All are evaluated on the same drawn answers; cross-validated by group.

    Args:
        files: Answer files and stores.
        out: Folder for the tables as CSV, Markdown and JSON; null to only show them.
        settings: See `AnswerSettings`.
    """
    from sgpu_lightning.evaluation.common.tables import rich_table
    from sgpu_lightning.evaluation.curves.answer_curve import answer_points, with_differences
    from sgpu_lightning.evaluation.curves.curve_points import mean_over_sets
    from sgpu_lightning.evaluation.curves.curve_tables import save

    chosen = AnswerSettings(**settings)
    console = _start()
    points = [point for path in _track(files, "curve", console) for point in answer_points(path, chosen)]
    mean = with_differences(mean_over_sets(points, "answers"))
    console.print(rich_table("mean over files, and less what 'per n' reaches", tuple(mean[0]), mean))
    if out is not None:
        save(points, {"mean": mean}, "answers", chosen, out)
        console.print(f"tables are in {out}")


def _start() -> Console:
    import torch

    from sgpu_lightning.console import make_console

    torch.set_num_threads(1)  # fits of a GP are many tiny operations
    return make_console()


def _track(items: Iterable[Any], description: str, console: Console) -> Iterable[Any]:
    from rich.progress import track

    return track(list(items), description=description, console=console)


def run(args: list[str]) -> None:
    """Parse and run."""
    rest = files_first(with_underscores(args[2:]))
    auto_cli({"labels": labels, "answers": answers}, args=[*args[1:2], *rest], prog="sgpu curve")
