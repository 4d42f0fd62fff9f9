"""Fit on some models or data and evaluate on others."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from sgpu_lightning.cli.arguments import files_first, join_lists, with_default_value
from sgpu_lightning.cli.common import Evaluation
from sgpu_lightning.cli.parser import run_function
from sgpu_lightning.errors import EvaluationError
from sgpu_lightning.evaluation.common.evaluation_settings import LeaveOut, TransferSettings


def transfer(
    *,
    answers: list[str] | None = None,
    sources: list[str] | None = None,
    targets: list[str] | None = None,
    leave_one_out: LeaveOut | None = None,
    out: Path | None = None,
    **settings: Any,
) -> None:
    """Fit P(correct) on sources and evaluate it on targets: other models, datasets, modalities.

    Each target is evaluated zero-shot, then adapted to its unlabelled answer sets, then adapted with a few of its
    labels; a fit on the target itself is shown for comparison. 'sgpu transfer --sources A B --targets C D' evaluates
    every source on every target; 'sgpu transfer A B C --leave_one_out' evaluates each file with a fit on the others.

    Args:
        answers: With leave_one_out: answer files and stores. They may follow the verb without the option's name.
        sources: Answer files and stores to fit on, each separately.
        targets: Answer files and stores to evaluate on.
        leave_one_out: Fit on all but the target: on other models' answers to the same dataset (model, which the option
            means if it has no value), on the other datasets (dataset), on the other modality (modality), or on all
            other files (set).
        out: Folder for configuration, data fingerprints, predictions, tables and heat maps; null to only show tables.
        settings: See `TransferSettings`.
    """
    from sgpu_lightning.evaluation.common.evaluation_set import EvaluationSet
    from sgpu_lightning.evaluation.common.set_reader import read
    from sgpu_lightning.evaluation.transfer.plan import check_pair, leave_one_out_pairs, load_sets, matrix_pairs
    from sgpu_lightning.evaluation.transfer.source_fits import SourceFits
    from sgpu_lightning.evaluation.transfer.transfer_files import save
    from sgpu_lightning.evaluation.transfer.transfer_pair import transfer as measure_transfer
    from sgpu_lightning.evaluation.transfer.transfer_tables import show

    _check_files(answers, sources, targets, leave_one_out)
    chosen = TransferSettings(**settings)
    evaluation = Evaluation(out)

    def load(path: Path) -> EvaluationSet:
        with evaluation.console.status(f"read {path.name}"):
            return read(path, chosen, scores=())

    sets, names = load_sets([*(answers or []), *(sources or []), *(targets or [])], load)
    if leave_one_out is not None:
        pairs = leave_one_out_pairs(sets, leave_one_out)
    else:
        pairs = matrix_pairs([names[path] for path in sources or []], [names[path] for path in targets or []])
    for pair in pairs:
        check_pair(pair, sets, chosen.shared_questions)
    fits = SourceFits(sets, chosen)
    results = [measure_transfer(pair, fits) for pair in evaluation.track(pairs, "transfer")]
    evaluation.show(show(results, sets))
    if unused := [name for name in sets if leave_one_out and name not in {pair.target for pair in pairs}]:
        evaluation.say(f"not evaluated, because no source is left for them: {', '.join(unused)}")
    for reason in dict.fromkeys(reason for result in results for reason in result.left_out):
        evaluation.say(f"left out: {reason}")
    evaluation.save(lambda folder: save(results, sets, chosen, folder), ("tables", "predictions", "heat maps"))


def _check_files(
    answers: list[str] | None, sources: list[str] | None, targets: list[str] | None, leave_one_out: LeaveOut | None
) -> None:
    """Require either sources and targets, or ``leave_one_out`` with answer files."""
    if leave_one_out is None and (not sources or not targets or answers):
        raise EvaluationError("expected --sources and --targets, or answer files and --leave_one_out")
    if leave_one_out is not None and (sources or targets or not answers):
        raise EvaluationError("--leave_one_out: expected answer files and no --sources or --targets")


def run(args: list[str]) -> None:
    """Parse and run."""
    given = with_default_value(args, "--leave_one_out", get_args(LeaveOut), "model")
    rest = join_lists(given, ("--answers", "--sources", "--targets"))
    run_function(transfer, "transfer", files_first(rest, "--answers"))
