"""``sgpu curve``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jsonargparse import auto_cli

from sgpu_lightning.cli.paths import join_leading

if TYPE_CHECKING:
    from rich.console import Console


def labels(
    files: list[str],
    *,
    labels: list[int] = [50, 100, 200, 500],  # noqa: B006 - a parser shows and copies it
    warm_start: bool = True,
    out: Path | None = None,
    encoder: str | None = "minilm",
    layers: list[int] | None = None,
    token: Literal["last", "mean"] | None = None,
    grader: str = "alias",
    draws: int = 5,
    evaluate_on: int = 2000,
    seed: int = 0,
    rows: int = 5,
) -> None:
    """P(correct) from few labels: SGPU, cold and warm-started, and every other score, fitted on the same labelled sets.

    Args:
        files: Answer files and stores.
        labels: Numbers of labelled answer sets; groups are drawn whole until there are as many.
        warm_start: Also start from predictors fitted on the other files: without any question of the one at hand, and,
            where files share questions, without those that are evaluated on.
        out: Folder for the tables as CSV, Markdown and JSON; null to only show them.
        encoder: Sentence encoder for black-box vectors; null for a store's hidden states.
        layers: Decoder layers of the hidden states; null for all that a store holds.
        token: ``last`` or ``mean`` hidden states; null for what a store holds.
        grader: Labels sets that have gold answers but no label.
        draws: How often labels are drawn; metrics are averaged.
        evaluate_on: Half of the groups are evaluated on, and labels drawn from the other half; at most so many answer
            sets are evaluated on, drawn at random.
        seed: Of all that is drawn.
        rows: Unsupervised scores shown, the best by AUROC.
    """
    from sgpu_lightning.evaluation.curves import mean_over_sets, read, save
    from sgpu_lightning.evaluation.label_curve import LabelCurve, against_best, shorten
    from sgpu_lightning.evaluation.label_draws import LabelSettings
    from sgpu_lightning.evaluation.report import rich_table

    settings = LabelSettings(
        encoder=encoder,
        layers=layers,
        token=token,
        grader=grader,
        labels=labels,
        warm_start=warm_start,
        draws=draws,
        evaluate_on=evaluate_on,
        seed=seed,
    )
    console = _start()
    sets = [read(path, settings) for path in _track(files, "read", console)]
    curve = LabelCurve(sets, settings)
    for data in _track(sets, "fit", console):
        curve.add(data)
    for note in curve.notes:
        console.print(note, highlight=False)
    mean = mean_over_sets(curve.points, "labels")
    against = against_best(mean)
    title = f"mean over files and {draws} draws; of the unsupervised scores the best {rows} by AUROC, with hindsight"
    console.print(rich_table(title, tuple(mean[0]), shorten(mean, rows)))
    if against:
        title = "sgpu less the best unsupervised score, chosen with hindsight by its mean"
        console.print(rich_table(title, tuple(against[0]), against))
    if out is not None:
        save(curve.points, {"mean": mean, "against": against}, "labels", settings, out)
        console.print(f"tables are in {out}")


def answers(
    files: list[str],
    *,
    answers: list[int] = [3, 5, 7, 10, 15, 20],  # noqa: B006 - a parser shows and copies it
    subsets: int = 2,
    out: Path | None = None,
    encoder: str | None = "minilm",
    layers: list[int] | None = None,
    token: Literal["last", "mean"] | None = None,
    grader: str = "alias",
    folds: int = 5,
    sets: int = 2000,
    seed: int = 0,
) -> None:
    """P(correct) from fewer answers: one predictor for any number of them against one for each number.

    ``one`` is fitted on all answers, ``subsets`` on random views with fewer as well, ``per n`` on just as many as it is
    evaluated with. All are evaluated on the same drawn answers; cross-validated by group.

    Args:
        files: Answer files and stores.
        answers: Numbers of answers; sets with fewer keep all, and a file leaves out what is above its largest set.
        subsets: Random views that ``subsets`` is fitted on besides all answers.
        out: Folder for the tables as CSV, Markdown and JSON; null to only show them.
        encoder: Sentence encoder for black-box vectors; null for a store's hidden states.
        layers: Decoder layers of the hidden states; null for all that a store holds.
        token: ``last`` or ``mean`` hidden states; null for what a store holds.
        grader: Labels sets that have gold answers but no label.
        folds: Folds of cross-validation, by group.
        sets: About so many answer sets of each file, in whole groups drawn at random; fewer where it has no more.
        seed: Of folds and of all that is drawn.
    """
    from sgpu_lightning.evaluation.answer_curve import AnswerSettings, answer_points, with_differences
    from sgpu_lightning.evaluation.curves import mean_over_sets, save
    from sgpu_lightning.evaluation.report import rich_table

    settings = AnswerSettings(
        encoder=encoder,
        layers=layers,
        token=token,
        grader=grader,
        answers=answers,
        subsets=subsets,
        folds=folds,
        sets=sets,
        seed=seed,
    )
    console = _start()
    points = [point for path in _track(files, "curve", console) for point in answer_points(path, settings)]
    mean = with_differences(mean_over_sets(points, "answers"))
    console.print(rich_table("mean over files, and less what 'per n' reaches", tuple(mean[0]), mean))
    if out is not None:
        save(points, {"mean": mean}, "answers", settings, out)
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
    auto_cli({"labels": labels, "answers": answers}, args=[*args[1:2], *join_leading(args[2:])], prog="sgpu curve")
