"""Tables of a transfer run: one row for each pair, with means over datasets, or a matrix of sources and targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgpu_lightning.evaluation.common.tables import Row, TitledTable
from sgpu_lightning.evaluation.transfer.measure import AT_ONCE, METRICS, Setting
from sgpu_lightning.evaluation.transfer.plan import Sets
from sgpu_lightning.evaluation.transfer.transfer_matrix import MATRIX_METRICS, is_matrix, matrix
from sgpu_lightning.evaluation.transfer.transfer_pair import ALIGNED, IN_DOMAIN, ZERO_SHOT, TransferResult
from sgpu_lightning.metrics.registry import in_table

if TYPE_CHECKING:
    from rich.table import Table

_PAIR = ("source", "target", "n", "accuracy")
_FEW_PAIRS = 12  # largest number of pairs with a table row each; of more pairs only the matrix is shown
RANKING = (*_PAIR, IN_DOMAIN, ZERO_SHOT, "difference", "low", "high", ALIGNED, "aligned less in-domain")


def _name(setting: Setting) -> str:
    return f"{setting.name} {setting.labels}" if setting.labels > 0 else setting.name


def setting_names(results: Sequence[TransferResult]) -> list[str]:
    """List every setting that some pair has, in order."""
    return list(dict.fromkeys(_name(one) for result in results for one in result.settings))


def rows_of(result: TransferResult) -> list[Row]:
    """Make one row for each setting of a pair, with all metrics and their differences from the in-domain fit."""
    rows: list[Row] = []
    for one in result.settings:
        test = {
            f"{metric}_{part}": getattr(one.less_in_domain[metric], part)
            for metric in METRICS
            for part in ("difference", "low", "high", "p_value")
        }
        rows.append(
            {"source": result.pair.source, "target": result.pair.target, "setting": one.name, "labels": one.labels}
            | {"n": result.sets, "accuracy": result.accuracy, "source_accuracy": result.source_accuracy}
            | one.metrics
            | test
        )
    return rows


def ranking_row(result: TransferResult) -> dict[str, Any]:
    """Make the row of one pair's AUROC, and its difference from the in-domain AUROC with the 95 % interval."""
    found = {_name(one): one for one in result.settings}
    row: dict[str, Any] = _pair_cells(result) | {IN_DOMAIN: found[IN_DOMAIN].metrics["auroc"]}
    if result.pair.in_domain:
        return row | dict.fromkeys(RANKING[5:], math.nan)
    test = found[ZERO_SHOT].less_in_domain["auroc"]
    row |= {ZERO_SHOT: found[ZERO_SHOT].metrics["auroc"]}
    row |= {"difference": test.difference, "low": test.low, "high": test.high}
    row[ALIGNED] = found[ALIGNED].metrics["auroc"]
    return row | {"aligned less in-domain": found[ALIGNED].less_in_domain["auroc"].difference}


def setting_row(result: TransferResult, names: Sequence[str], metric: str = "ece") -> dict[str, Any]:
    """Make the row of one pair's metric in every setting.

    Args:
        result: Result of the pair.
        names: Settings, which are the columns; NaN where one was left out.
        metric: Name of the metric; the ECE has its noise floor beside it.
    """
    found = {_name(one): one.metrics[metric] for one in result.settings}
    floor = {"floor": result.settings[0].metrics["ece_floor"]} if metric == "ece" else {}
    return _pair_cells(result) | floor | {name: found.get(name, math.nan) for name in names}


def _pair_cells(result: TransferResult) -> dict[str, Any]:
    pair = result.pair
    return {"source": pair.source, "target": pair.target, "n": result.sets, "accuracy": result.accuracy}


def tables_of(results: Sequence[TransferResult], sets: Sets) -> list[TitledTable]:
    """Make the tables of each metric, with a row for each pair and means over each dataset.

    Args:
        results: Results of all pairs.
        sets: Evaluation sets by name.
    """
    names = setting_names(results)
    ranking: list[Row] = [ranking_row(result) for result in results]
    title = f"AUROC, mean over folds; difference of {ZERO_SHOT} from {IN_DOMAIN} (95 %)"
    tables = [TitledTable(title, RANKING, ranking + _means(results, ranking, sets))]
    for metric in in_table("transfer"):
        if metric.name != "auroc":
            floor = ("floor",) if metric.name == "ece" else ()
            over = " of all held-out sets" if metric.name in AT_ONCE else ", mean over folds"
            title = f"{metric.heading}{over}" + (", and its floor" if floor else "")
            rows: list[Row] = [setting_row(result, names, metric.name) for result in results]
            tables.append(TitledTable(title, (*_PAIR, *floor, *names), rows + _means(results, rows, sets)))
    return tables


def _means(results: Sequence[TransferResult], rows: Sequence[Row], sets: Sets) -> list[Row]:
    """Make one row for each dataset with several targets, and one for all."""
    by_dataset: dict[str, list[Row]] = {}
    moved = [(result, row) for result, row in zip(results, rows, strict=True) if not result.pair.in_domain]
    for result, row in moved:
        by_dataset.setdefault("/".join(sets[result.pair.target].datasets), []).append(row)
    groups = {name: found for name, found in by_dataset.items() if len(found) > 1 and len(by_dataset) > 1}
    if len(moved) > 1:
        groups["all"] = [row for _, row in moved]
    return [_mean(name, found) for name, found in groups.items()]


def _mean(name: str, rows: Sequence[Row]) -> Row:
    numbers = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key not in ("source", "target")}
    # The mean of interval ends is not an interval.
    blank = {key: "" for key in ("low", "high") if key in rows[0]}
    return {"source": "", "target": f"mean, {name}"} | numbers | {"n": len(rows)} | blank


def show(results: Sequence[TransferResult], sets: Sets) -> list[Table]:
    """Make the tables for the terminal: a row for each pair, or matrices where there are many pairs.

    Args:
        results: Results of all pairs.
        sets: Evaluation sets by name.
    """
    many_sources = len({result.pair.sources for result in results}) > 1
    if many_sources and len(results) > _FEW_PAIRS and is_matrix(results):
        return [_matrix_table(results, metric, name).rich() for metric, name in MATRIX_METRICS]
    return [table.rich() for table in tables_of(results, sets)]


def _matrix_table(results: Sequence[TransferResult], metric: str, name: str) -> TitledTable:
    values, rows, columns = matrix(results, metric, name)
    cells: list[Row] = [
        {"source": row} | dict(zip(columns, line, strict=True)) for row, line in zip(rows, values.tolist(), strict=True)
    ]
    return TitledTable(f"{metric}, {name} ({IN_DOMAIN} where source is target)", ("source", *columns), cells)
