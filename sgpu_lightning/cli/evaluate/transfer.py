"""``sgpu transfer``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from jsonargparse import auto_cli

from sgpu_lightning.cli.paths import files_first, join_lists, with_underscores
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

    With none of the target's labels, with what its unlabelled answer sets tell, and with a few labels; beside a fit on
    the target itself. Either 'sgpu transfer --sources A B --targets C D', every source to every target, or 'sgpu
    transfer A B C --leave_one_out', each file by the others.

    Args:
        answers: With leave_one_out, answer files and stores; they may stand right after the verb.
        sources: Answer files and stores to fit on, each on its own.
        targets: Answer files and stores to evaluate on.
        leave_one_out: Fit on all but the target: on the other models' answers to the same dataset (model, what it means
            alone), on the other datasets (dataset), on the other modality (modality), or on all other files (set).
        out: Folder for config, data fingerprints, predictions, tables and heat maps; null to only show tables.
        settings: See `TransferSettings`.
    """
    import torch
    from rich.progress import track

    from sgpu_lightning.console import make_console
    from sgpu_lightning.errors import EvaluationError
    from sgpu_lightning.evaluation.common.evaluation_set import EvaluationSet
    from sgpu_lightning.evaluation.common.set_reader import read
    from sgpu_lightning.evaluation.transfer.plan import check_pair, leave_one_out_pairs, load_sets, matrix_pairs
    from sgpu_lightning.evaluation.transfer.source_fits import SourceFits
    from sgpu_lightning.evaluation.transfer.transfer_files import save
    from sgpu_lightning.evaluation.transfer.transfer_pair import transfer as measure_transfer
    from sgpu_lightning.evaluation.transfer.transfer_tables import show

    given = (answers or [], sources or [], targets or [])
    if leave_one_out is None and (not sources or not targets or answers):
        raise EvaluationError("expected --sources and --targets, or answer files and --leave_one_out")
    if leave_one_out is not None and (sources or targets or not answers):
        raise EvaluationError("--leave_one_out: expected answer files and no --sources or --targets")
    torch.set_num_threads(1)  # fits of a GP are many tiny operations
    chosen = TransferSettings(**settings)
    console = make_console()

    def load(path: Path) -> EvaluationSet:
        with console.status(f"read {path.name}"):
            return read(path, chosen, scores=())

    sets, names = load_sets([path for part in given for path in part], load)
    if leave_one_out is not None:
        pairs = leave_one_out_pairs(sets, leave_one_out)
    else:
        pairs = matrix_pairs([names[path] for path in given[1]], [names[path] for path in given[2]])
    for pair in pairs:
        check_pair(pair, sets, chosen.shared_questions)
    fits = SourceFits(sets, chosen)
    results = [measure_transfer(pair, fits) for pair in track(pairs, description="transfer", console=console)]
    for table in show(results, sets):
        console.print(table)
    if unused := [name for name in sets if leave_one_out and name not in {pair.target for pair in pairs}]:
        console.print(f"without a source, so not evaluated: {', '.join(unused)}", markup=False)
    for reason in dict.fromkeys(reason for result in results for reason in result.left_out):
        console.print(f"left out: {reason}", markup=False)
    if out is not None:
        save(results, sets, chosen, out)
        console.print(f"tables, predictions and heat maps are in {out}", markup=False)


def run(args: list[str]) -> None:
    """Parse and run."""
    rest = join_lists(_by_model(with_underscores(args[1:])), ("--answers", "--sources", "--targets"))
    auto_cli(transfer, args=files_first(rest, "--answers"), prog="sgpu transfer")


def _by_model(args: list[str]) -> list[str]:
    """``--leave_one_out`` alone, or before a file, is to leave one model out."""
    at = args.index("--leave_one_out") + 1 if "--leave_one_out" in args else 0
    alone = at > 0 and args[at : at + 1] not in [[name] for name in get_args(LeaveOut)]
    return [*args[:at], "model", *args[at:]] if alone else args
