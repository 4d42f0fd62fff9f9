"""Summaries of a comparison: rows of each evaluation set, means over sets, and each set's best unsupervised score."""

from __future__ import annotations

from collections.abc import Sequence

from sgpu_lightning.evaluation.common.methods import DEFAULT
from sgpu_lightning.evaluation.common.tables import Row
from sgpu_lightning.evaluation.compare.comparison import SetResult


def set_rows(result: SetResult) -> list[Row]:
    """Make one row for each method on one evaluation set, best AUROC first."""
    rows: list[Row] = []
    for one in sorted(result.results, key=lambda one: -one.metrics["auroc"]):
        test = one.against["auroc"]
        intervals = {
            f"{metric}_{end}": value
            for metric, ends in one.intervals.items()
            for end, value in zip(("low", "high"), ends, strict=True)
        }
        rows.append(
            {"set": result.name, "method": one.method, "kind": one.kind, **one.metrics, **intervals}
            | {"sgpu_less_this": test.difference, "p_value": test.p_value}
        )
    return rows


def mean_over_sets(results: Sequence[SetResult]) -> list[Row]:
    """Make one row for each method that every set has, best AUROC first, with mean metrics and wins, ties and losses.

    ``better``, ``tie`` and ``worse`` count the sets on which the default SGPU's AUROC is significantly better than this
    method's, not significantly different, or significantly worse (paired bootstrap, 95 %).

    Args:
        results: Results of the evaluation sets.
    """
    by_set = [{one.method: one for one in result.results} for result in results]
    common = [name for name in by_set[0] if all(name in methods for methods in by_set)]
    rows: list[Row] = []
    for name in common:
        own = [methods[name] for methods in by_set]
        metrics = {key: sum(one.metrics[key] for one in own) / len(own) for key in own[0].metrics}
        tests = [one.against["auroc"] for one in own]
        better, worse = sum(test.better for test in tests), sum(test.worse for test in tests)
        rows.append(
            {"method": name, "kind": own[0].kind, **metrics}
            | {"better": better, "tie": len(tests) - better - worse, "worse": worse}
        )
    return sorted(rows, key=lambda row: -row["auroc"])


def against_best(results: Sequence[SetResult]) -> list[Row]:
    """Make one row for each set: the default SGPU against the best unsupervised score of that set.

    Args:
        results: Results of the evaluation sets.
    """
    rows: list[Row] = []
    for result in results:
        ours = next(one for one in result.results if one.method == DEFAULT)
        best = result.best_unsupervised()
        test = best.against["auroc"]
        rows.append(
            {
                "set": result.name,
                "n": result.sets,
                "accuracy": result.accuracy,
                "sgpu_auroc": ours.metrics["auroc"],
                "best": best.method,
                "best_auroc": best.metrics["auroc"],
                "difference": test.difference,
                "low": test.low,
                "high": test.high,
                "p_value": test.p_value,
                "verdict": "better" if test.better else "worse" if test.worse else "tie",
                "sgpu_ece": ours.metrics["ece"],
                "ece_floor": ours.metrics["ece_floor"],
                "sgpu_brier": ours.metrics["brier"],
                "best_brier": min(one.metrics["brier"] for one in result.results if one.kind == "unsupervised"),
            }
        )
    return rows
