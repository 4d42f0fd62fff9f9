"""``sgpu compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jsonargparse import auto_cli

from sgpu_lightning.cli.paths import files_first, with_underscores
from sgpu_lightning.evaluation.common.evaluation_settings import CompareSettings, check_sizes


def compare(
    answers: list[str], *, out: Path | None = None, rows: int = 15, cache_dir: Path | None = None, **settings: Any
) -> None:
    """Compare SGPU with every other score on the same answer sets: cross-validated, with intervals and paired tests.

    Scores without labels are calibrated on the folds that SGPU is fitted on. A rerun only computes what changed.

    Args:
        answers: Answer files and stores.
        out: Folder for the tables as CSV, Markdown and JSON; null to only show them.
        rows: Rows of the tables shown; SGPU and the supervised baselines are always there.
        cache_dir: Where forecasts are remembered; null for the user's cache folder.
        settings: See `CompareSettings`.
    """
    import torch
    from rich.progress import track

    from sgpu_lightning.console import make_console
    from sgpu_lightning.evaluation.common.prediction_cache import PredictionCache
    from sgpu_lightning.evaluation.compare.compare_tables import save, show
    from sgpu_lightning.evaluation.compare.comparison import compare_set

    chosen = CompareSettings(**settings)
    check_sizes("rows", [rows], 0)
    torch.set_num_threads(1)  # fits of a GP are many tiny operations
    cache = PredictionCache(cache_dir)
    console = make_console()
    results = [compare_set(path, chosen, cache) for path in track(answers, description="compare", console=console)]
    for table in show(results, rows):
        console.print(table)
    for result in results:
        if result.left_out:
            console.print(f"{result.name}: {result.left_out} answer sets without label or gold were left out")
    missing = {name: reasons for result in results for name, reasons in result.reasons.items()}
    if missing:
        console.print(f"{len(missing)} scores lack their input, such as: {_first(missing)}", highlight=False)
    if out is not None:
        save(results, chosen, out)
        console.print(f"tables are in {out}")


def _first(missing: dict[str, dict[str, int]]) -> str:
    seen: dict[str, str] = {}
    for name, reasons in missing.items():
        seen.setdefault(next(iter(reasons)), name)
    return "; ".join(f"{name} ({reason})" for reason, name in list(seen.items())[:3])


def run(args: list[str]) -> None:
    """Parse and run."""
    auto_cli(compare, args=files_first(with_underscores(args[1:])), prog="sgpu compare")
