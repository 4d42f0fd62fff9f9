"""Tables, heat maps and files of a transfer run."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sgpu_lightning.__about__ import __version__
from sgpu_lightning.evaluation.common.evaluation_settings import TransferSettings
from sgpu_lightning.evaluation.common.tables import Row, markdown, rich_table, write_csv
from sgpu_lightning.evaluation.transfer.heatmap import draw_heat_map
from sgpu_lightning.evaluation.transfer.measure import Setting
from sgpu_lightning.evaluation.transfer.plan import Sets
from sgpu_lightning.evaluation.transfer.transfer_pair import ALIGNED, IN_MODEL, SHIFT, ZERO, TransferResult, rows_of
from sgpu_lightning.metrics.registry import LOWER_IS_BETTER

if TYPE_CHECKING:
    from rich.table import Table

_PAIR = ("source", "target", "n", "accuracy")
_FEW_PAIRS = 12  # a table row for each; of more only the matrix is shown
_MAPS = (("auroc", ZERO), ("auroc", ALIGNED), ("auarc", ALIGNED), ("ece", ZERO), ("ece", SHIFT))
RANKING = (*_PAIR, IN_MODEL, ZERO, "difference", "low", "high", ALIGNED, "aligned less in-model")


def _name(setting: Setting) -> str:
    return f"{setting.name} {setting.labels}" if setting.labels > 0 else setting.name


def ranking_row(result: TransferResult) -> dict[str, Any]:
    """The AUROC of one pair, and its difference from the in-model figure with its 95 % interval."""
    found = {_name(one): one for one in result.settings}
    row: dict[str, Any] = _pair_cells(result) | {IN_MODEL: found[IN_MODEL].metrics["auroc"]}
    if result.pair.in_model:
        return row | dict.fromkeys(RANKING[5:], math.nan)
    test = found[ZERO].less_in_model["auroc"]
    row |= {ZERO: found[ZERO].metrics["auroc"], "difference": test.difference, "low": test.low, "high": test.high}
    row[ALIGNED] = found[ALIGNED].metrics["auroc"]
    return row | {"aligned less in-model": found[ALIGNED].less_in_model["auroc"].difference}


def setting_row(result: TransferResult, names: Sequence[str], metric: str = "ece") -> dict[str, Any]:
    """A metric of one pair in every setting.

    Args:
        result: Of the pair.
        names: Of settings, as columns; NaN where one was left out.
        metric: Which; the ECE has its floor beside it.
    """
    found = {_name(one): one.metrics[metric] for one in result.settings}
    floor = {"floor": result.settings[0].metrics["ece_floor"]} if metric == "ece" else {}
    return _pair_cells(result) | floor | {name: found.get(name, math.nan) for name in names}


def _pair_cells(result: TransferResult) -> dict[str, Any]:
    pair = result.pair
    return {"source": pair.source, "target": pair.target, "n": result.sets, "accuracy": result.accuracy}


def setting_names(results: Sequence[TransferResult]) -> list[str]:
    """Every setting that some pair has, in order."""
    return list(dict.fromkeys(_name(one) for result in results for one in result.settings))


def tables_of(results: Sequence[TransferResult], sets: Sets) -> list[tuple[str, Sequence[str], list[Row]]]:
    """Title, columns and rows of each table: ranking, ECE and Brier of each pair, with means over each dataset."""
    names = setting_names(results)
    ece_columns = (*_PAIR, "floor", *names)
    made: list[tuple[str, Sequence[str], list[Row]]] = []
    ranking: list[Row] = [ranking_row(result) for result in results]
    ece: list[Row] = [setting_row(result, names) for result in results]
    auarc: list[Row] = [setting_row(result, names, "auarc") for result in results]
    brier: list[Row] = [setting_row(result, names, "brier") for result in results]
    made.append(("AUROC, mean over folds; difference of zero labels from in-model (95 %)", RANKING, ranking))
    made.append(("AUARC, mean over folds", (*_PAIR, *names), auarc))
    made.append(("ECE of all held-out sets, and its floor", ece_columns, ece))
    made.append(("Brier score, mean over folds", (*_PAIR, *names), brier))
    return [(title, columns, rows + _means(results, rows, sets)) for title, columns, rows in made]


def _means(results: Sequence[TransferResult], rows: Sequence[Row], sets: Sets) -> list[Row]:
    """One row for each dataset with several targets, and one for all."""
    by_dataset: dict[str, list[Row]] = {}
    moved = [(result, row) for result, row in zip(results, rows, strict=True) if not result.pair.in_model]
    for result, row in moved:
        by_dataset.setdefault("/".join(sets[result.pair.target].datasets), []).append(row)
    groups = {name: found for name, found in by_dataset.items() if len(found) > 1 and len(by_dataset) > 1}
    if len(moved) > 1:
        groups["all"] = [row for _, row in moved]
    return [_mean(name, found) for name, found in groups.items()]


def _mean(name: str, rows: Sequence[Row]) -> Row:
    numbers = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key not in ("source", "target")}
    # An interval's mean is no interval.
    return {"source": "", "target": f"mean, {name}"} | numbers | {"n": len(rows)} | _blank(rows[0], "low", "high")


def _blank(row: Row, *keys: str) -> dict[str, str]:
    return {key: "" for key in keys if key in row}


def show(results: Sequence[TransferResult], sets: Sets) -> list[Table]:
    """Tables for the terminal: each pair, or the matrix where there are many."""
    tables = []
    if len({result.pair.sources for result in results}) > 1 and len(results) > _FEW_PAIRS and _is_matrix(results):
        for metric, name in _MAPS:
            values, rows, columns = matrix(results, metric, name)
            cells = [
                {"source": row} | dict(zip(columns, line, strict=True))
                for row, line in zip(rows, values.tolist(), strict=True)
            ]
            tables.append(
                rich_table(f"{metric}, {name} (in-model where source is target)", ("source", *columns), cells)
            )
        return tables
    return [rich_table(*table) for table in tables_of(results, sets)]


def _is_matrix(results: Sequence[TransferResult]) -> bool:
    return all(len(result.pair.sources) == 1 for result in results)


def matrix(results: Sequence[TransferResult], metric: str, name: str) -> tuple[np.ndarray, list[str], list[str]]:
    """A metric over sources and targets.

    Args:
        results: Of all pairs.
        metric: Which.
        name: The setting; where source is target the in-model figure stands.

    Returns:
        Values [sources, targets], NaN where there is no pair, and both names.
    """
    rows = list(dict.fromkeys(result.pair.source for result in results))
    columns = list(dict.fromkeys(result.pair.target for result in results))
    values = np.full((len(rows), len(columns)), np.nan)
    for result in results:
        found = result.get(IN_MODEL if result.pair.in_model else name)
        if found is not None:
            values[rows.index(result.pair.source), columns.index(result.pair.target)] = found.metrics[metric]
    return values, rows, columns


def save(results: Sequence[TransferResult], sets: Sets, settings: TransferSettings, out: Path) -> list[Path]:
    """Write a run's folder: configuration, data fingerprints, predictions, tables and heat maps.

    Returns:
        The heat maps written.

    Raises:
        EvaluationError: If matplotlib is not installed; everything else is written by then.
    """
    out.mkdir(parents=True, exist_ok=True)
    pairs = [asdict(result.pair) for result in results]
    _write_json(out / "config.json", {"version": __version__, "settings": asdict(settings), "pairs": pairs})
    _write_json(out / "data.json", {name: _about(sets, name) for name in sets})
    save_predictions(results, sets, out / "predictions.parquet")
    rows = [row for result in results for row in rows_of(result)]
    write_csv(out / "matrix.csv", rows)
    left_out = [reason for result in results for reason in result.left_out]
    _write_json(out / "matrix.json", {"rows": rows, "left_out": left_out})
    parts = [f"## {title}\n\n{markdown(columns, found)}\n" for title, columns, found in tables_of(results, sets)]
    (out / "matrix.md").write_text("\n".join(parts), encoding="utf-8")
    return _heat_maps(results, out / "maps")


def _heat_maps(results: Sequence[TransferResult], out: Path) -> list[Path]:
    if _is_matrix(results):
        files = []
        for metric, name in _MAPS:
            values, rows, columns = matrix(results, metric, name)
            path = out / f"{metric}-{name.replace(' ', '-')}"
            files += draw_heat_map(
                values, rows, columns, title=f"{metric.upper()}, {name}", path=path, lower_is_better=metric == "ece"
            )
        return files
    names, columns, files = setting_names(results), [result.pair.target for result in results], []
    for metric in ("auroc", "auarc", "ece", "brier"):
        lines = [setting_row(result, names, metric) for result in results]
        values = np.array([[line[name] for line in lines] for name in names])
        files += draw_heat_map(
            values,
            names,
            columns,
            title=f"{metric.upper()}, fitted on the others",
            path=out / metric,
            lower_is_better=metric in LOWER_IS_BETTER,
            row_title="setting",
        )
    return files


def _about(sets: Sets, name: str) -> dict[str, Any]:
    found = sets[name]
    return {
        "fingerprint": found.fingerprint,
        "answer_sets": len(found),
        "groups": len(set(found.groups)),
        "accuracy": found.accuracy,
        "left_out": found.left_out,
        "models": found.models,
        "datasets": found.datasets,
        "modalities": found.modalities,
        "vectors": [spec.to_dict() for spec in found.specs],
    }


def save_predictions(results: Sequence[TransferResult], sets: Sets, path: Path) -> None:
    """Every prediction behind the figures, one row each, as Parquet.

    Columns: source, target, setting, labels, draw, id, fold, label, p_correct.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for result in results:
        target = sets[result.pair.target]
        for one in result.settings:
            for draw, run in enumerate(one.runs):
                rows, constant = run.rows.tolist(), len(run.rows)
                columns = {
                    "source": pa.array([result.pair.source] * constant).dictionary_encode(),
                    "target": pa.array([result.pair.target] * constant).dictionary_encode(),
                    "setting": pa.array([one.name] * constant).dictionary_encode(),
                    "labels": pa.array([one.labels] * constant, pa.int32()),
                    "draw": pa.array([draw] * constant, pa.int32()),
                    "id": pa.array([target.ids[row] for row in rows]).dictionary_encode(),
                    "fold": pa.array(result.folds[run.rows].tolist(), pa.int32()),
                    "label": pa.array(target.labels[run.rows].int().tolist(), pa.int8()),
                    "p_correct": pa.array(run.p_correct.tolist(), pa.float64()),
                }
                tables.append(pa.table(columns))
    pq.write_table(pa.concat_tables(tables).unify_dictionaries(), path, compression="zstd")


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
