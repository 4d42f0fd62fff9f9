"""Grade scored answers, and compare the grades with given labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sgpu_lightning.cli.parser import run_function

if TYPE_CHECKING:
    from rich.table import Table

    from sgpu_lightning.answers.grading import Verdict
    from sgpu_lightning.answers.labelling import Agreement, Labels
    from sgpu_lightning.answers.record import AnswerSet

_CELL = 60  # characters of an answer in the list of disagreements


def label(
    answers: Path,
    *,
    grader: str | None = None,
    options: dict[str, Any] | None = None,
    against: str | None = None,
    out: Path | None = None,
    examples: int = 5,
    on_error: Literal["raise", "skip"] = "raise",
) -> None:
    """Grade scored answers against gold answers, and measure the agreement with given labels.

    The graded records are not changed; see docs/grading.md for the graders.

    Args:
        answers: A store, or a .jsonl, .jsonl.gz or .parquet file of records.
        grader: exact, alias, squad_f1, rouge_l, vqa, multiple_choice, number, class_name, judge (a language model;
            options api and model), or a grader of an installed package; null for the grader that a store's task names,
            else alias.
        options: Options of the grader as JSON, for example '{"threshold": 0.4}'.
        against: Labels to compare with: ``label`` for the records' labels, or the name of another grader; null for
            none.
        out: Write the records with the new labels to this .jsonl or .jsonl.gz file; null to write nothing.
        examples: Number of disagreements shown.
        on_error: ``raise`` at the first bad record of a file, or ``skip`` bad records and list them.
    """
    from sgpu_lightning.answers import labelling
    from sgpu_lightning.answers.grading import get_grader, grade_records
    from sgpu_lightning.answers.reader import Skipped
    from sgpu_lightning.console import make_console

    if out is not None:
        labelling.check_out(out, answers)
    skipped = Skipped()
    records, fitting = labelling.read_records(answers, on_error, skipped)
    name = grader or fitting
    chosen = get_grader(name, options)
    theirs = None if against is None else labelling.other_labels(records, against)
    verdicts = list(grade_records(records, chosen))
    ours = labelling.labels_of(verdicts)
    console = make_console()
    if skipped.messages:
        console.print(skipped.summary(), markup=False)
    console.print(_summary(name, records, verdicts))
    if against is not None and theirs is not None:
        _show_agreement(console, labelling.compare_labels(ours, theirs), name, against)
        differing = [i for i, pair in enumerate(zip(ours, theirs, strict=True)) if set(pair) == {0, 1}]
        if differing[:examples]:
            console.print(_disagreements(records, ours, differing[:examples], len(differing), name, against))
    if out is not None:
        pairs = zip(records, verdicts, strict=True)
        count = labelling.write_records(out, (labelling.with_verdict(*pair, chosen, name) for pair in pairs))
        console.print(f"{count} records with new labels written to {out}", markup=False, soft_wrap=True)


def _summary(name: str, records: Sequence[AnswerSet], verdicts: Sequence[Verdict]) -> Table:
    from rich.table import Table

    right = sum(verdict.correct is True for verdict in verdicts)
    undecided = [record for record, verdict in zip(records, verdicts, strict=True) if verdict.correct is None]
    graded, no_gold = len(records) - len(undecided), sum(not record.gold for record in undecided)
    table = Table("answer sets", "graded", "right", "accuracy", "without gold", "without verdict")
    table.title = f"graded by {name}"
    accuracy = f"{right / graded:.3f}" if graded else "-"
    counts = (len(records), graded, right, accuracy, no_gold, len(undecided) - no_gold)
    table.add_row(*map(str, counts))
    return table


def _show_agreement(console: Any, agreement: Agreement, name: str, against: str) -> None:
    from rich.table import Table

    table = Table("", f"{against}: right", f"{against}: wrong", title=f"{name} against {against}")
    table.add_row(f"{name}: right", str(agreement.both_right), str(agreement.only_first))
    table.add_row(f"{name}: wrong", str(agreement.only_second), str(agreement.both_wrong))
    console.print(table)
    kappa = "undefined: one class only" if math.isnan(agreement.kappa) else f"{agreement.kappa:.3f}"
    console.print(
        f"agreement {agreement.proportion:.3f} over {agreement.count} answer sets that both label; "
        f"Cohen's kappa {kappa}",
        highlight=False,
        soft_wrap=True,
    )


def _disagreements(
    records: Sequence[AnswerSet], ours: Labels, shown: Sequence[int], total: int, name: str, against: str
) -> Table:
    from rich.table import Table
    from rich.text import Text

    from sgpu_lightning.answers.scored_answer import scored_answer

    table = Table("id", "scored answer", "gold", name, against, title=f"{len(shown)} of {total} disagreements")
    for i in shown:
        texts = (records[i].id, _short(scored_answer(records[i])), _short(" | ".join(records[i].gold or ())))
        words = ("right", "wrong") if ours[i] else ("wrong", "right")
        table.add_row(*map(Text, texts), *words)  # as Text, because an answer may contain what rich reads as markup
    return table


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _CELL else f"{line[: _CELL - 3]}..."


def run(args: list[str]) -> None:
    """Parse and run."""
    run_function(label, "label", args)
