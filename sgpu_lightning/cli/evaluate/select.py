"""Find the threshold on P(correct) that keeps the error rate of answered questions below a risk."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from sgpu_lightning.cli.parser import run_function


def select(
    predictions: Path,
    *,
    risk: float = 0.1,
    confidence: float = 0.95,
    start: float | None = None,
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """Find the threshold on P(correct) that keeps the error rate of answered questions below a risk, with confidence.

    Only labelled predictions of questions that the predictor was not fitted on are used. If no threshold can be
    certified, a message says so.

    Args:
        predictions: JSON Lines with p_correct and label, as 'sgpu predict' writes them.
        risk: Greatest allowed proportion of wrong answers among the answered questions, between 0 and 1.
        confidence: Probability with which the risk is kept, between 0 and 1.
        start: The strictest threshold tried, chosen without these predictions; null for 1 - risk. Choose a greater one
            for a predictor known to be overconfident.
        seed: Random seed for the choice of one answer set from each group that has several.
        out: JSON file for the threshold and the data it is certified on; null to write no file.
    """
    from rich.console import Console

    from sgpu_lightning.evaluation.selective.calibration_sets import read_calibration_sets
    from sgpu_lightning.evaluation.selective.threshold_rule import certify_threshold

    console = Console(highlight=False, soft_wrap=True)
    found = read_calibration_sets(predictions)
    rule = certify_threshold(
        found.probs, found.labels, risk=risk, confidence=confidence, start=start, groups=found.groups, seed=seed
    )
    console.print(str(rule), markup=False)
    if found.groups is not None and rule.sets < len(found.labels):
        console.print(f"one answer set of each group is used: {rule.sets} of {len(found.labels)}")
    if found.unlabelled or found.in_sample:
        console.print(
            f"left out: {found.unlabelled} predictions without label, {found.in_sample} of groups the predictor was "
            "fitted on"
        )
    if not found.marked:
        console.print(
            "the file does not say which sets were held out from fitting; all are assumed to be", style="bold"
        )
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(asdict(rule), indent=1) + "\n", encoding="utf-8")


def run(args: list[str]) -> None:
    """Parse and run."""
    run_function(select, "select", args)
