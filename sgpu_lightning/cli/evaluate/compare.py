"""Compare SGPU with every other score by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sgpu_lightning.cli.arguments import files_first
from sgpu_lightning.cli.common import Evaluation
from sgpu_lightning.cli.parser import run_function
from sgpu_lightning.evaluation.common.evaluation_settings import CompareSettings, check_sizes


def compare(
    answers: list[str], *, out: Path | None = None, rows: int = 15, cache_dir: Path | None = None, **settings: Any
) -> None:
    """Compare SGPU with every other score on the same answer sets: cross-validation, intervals and paired tests.

    Scores that need no labels are calibrated on the same folds that SGPU is fitted on. A second run computes only what
    has changed.

    Args:
        answers: Answer files and stores.
        out: Folder for the tables as CSV, Markdown and JSON; null to only show them.
        rows: Number of rows shown of each table; SGPU and the supervised baselines are always shown.
        cache_dir: Folder where out-of-fold predictions are cached; null for the user's cache folder.
        settings: See `CompareSettings`.
    """
    from sgpu_lightning.evaluation.common.prediction_cache import PredictionCache
    from sgpu_lightning.evaluation.compare.compare_tables import save, show
    from sgpu_lightning.evaluation.compare.comparison import SetResult, compare_set

    chosen = CompareSettings(**settings)
    check_sizes("rows", [rows], 0)
    evaluation = Evaluation(out)
    cache = PredictionCache(cache_dir)
    results: list[SetResult] = [compare_set(path, chosen, cache) for path in evaluation.track(answers, "compare")]
    evaluation.show(show(results, rows))
    for result in results:
        if result.left_out:
            evaluation.say(f"{result.name}: {result.left_out} answer sets without label or gold were left out")
    missing = {name: reasons for result in results for name, reasons in result.reasons.items()}
    if missing:
        evaluation.say(f"{len(missing)} scores lack their input, for example: {'; '.join(_examples(missing))}")
    evaluation.save(lambda folder: save(results, chosen, folder))


def _examples(missing: dict[str, dict[str, int]], most: int = 3) -> Sequence[str]:
    """Name one score as an example for each of the first reasons."""
    by_reason: dict[str, str] = {}
    for name, reasons in missing.items():
        by_reason.setdefault(next(iter(reasons)), name)
    return [f"{name} ({reason})" for reason, name in by_reason.items()][:most]


def run(args: list[str]) -> None:
    """Parse and run."""
    run_function(compare, "compare", files_first(args))
