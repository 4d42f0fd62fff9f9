"""Measure how good P(correct) is with few labels, or with fewer answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sgpu_lightning.cli.arguments import files_first
from sgpu_lightning.cli.common import Evaluation
from sgpu_lightning.cli.parser import run_commands
from sgpu_lightning.evaluation.common.evaluation_settings import AnswerSettings, LabelSettings, check_sizes


def labels(files: list[str], *, out: Path | None = None, rows: int = 5, **settings: Any) -> None:
    """Measure P(correct) with few labels: SGPU with and without a warm start, and every other score on the same sets.

    Args:
        files: Answer files and stores.
        out: Folder for the tables as CSV, Markdown and JSON; null to only show them.
        rows: Number of unsupervised scores shown, the best by AUROC.
        settings: See `LabelSettings`.
    """
    from sgpu_lightning.evaluation.common.set_reader import read
    from sgpu_lightning.evaluation.common.tables import rich_table
    from sgpu_lightning.evaluation.curves.curve_points import mean_over_sets
    from sgpu_lightning.evaluation.curves.curve_tables import save
    from sgpu_lightning.evaluation.curves.label_curve import LabelCurve, against_best, shorten

    chosen = LabelSettings(**settings)
    check_sizes("rows", [rows], 0)
    evaluation = Evaluation(out)
    sets = [read(path, chosen) for path in evaluation.track(files, "read")]
    curve = LabelCurve(sets, chosen)
    for data in evaluation.track(sets, "fit"):
        curve.add(data)
    for note in curve.notes:
        evaluation.say(note)
    mean = mean_over_sets(curve.points, "labels")
    against = against_best(mean)
    title = f"mean over files and {chosen.draws} draws; the {rows} best unsupervised scores by AUROC, with hindsight"
    evaluation.show([rich_table(title, tuple(mean[0]), shorten(mean, rows))])
    if against:
        title = "sgpu less the best unsupervised score, chosen with hindsight by its mean"
        evaluation.show([rich_table(title, tuple(against[0]), against)])
    evaluation.save(lambda folder: save(curve.points, {"mean": mean, "against": against}, "labels", chosen, folder))


def answers(files: list[str], *, out: Path | None = None, **settings: Any) -> None:
    """Measure P(correct) with fewer answers: one predictor for any number of answers, or one for each number.

    ``one`` is fitted on all answers, ``subsets`` also on random answer subsets, and ``per n`` on exactly as many
    answers as it is evaluated with. All are evaluated on the same randomly drawn answers, by cross-validation over
    groups.

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
    evaluation = Evaluation(out)
    points = [point for path in evaluation.track(files, "curve") for point in answer_points(path, chosen)]
    mean = with_differences(mean_over_sets(points, "answers"))
    evaluation.show([rich_table("mean over files, and the difference from 'per n'", tuple(mean[0]), mean)])
    evaluation.save(lambda folder: save(points, {"mean": mean}, "answers", chosen, folder))


COMMANDS = {"labels": labels, "answers": answers}


def run(args: list[str]) -> None:
    """Parse and run."""
    run_commands(COMMANDS, "curve", [*args[:1], *files_first(args[1:])])
