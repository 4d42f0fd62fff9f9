"""Files of a transfer run: configuration, data fingerprints, predictions, tables and heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sgpu_lightning.__about__ import __version__
from sgpu_lightning.evaluation.common.evaluation_settings import TransferSettings
from sgpu_lightning.evaluation.common.tables import save_tables
from sgpu_lightning.evaluation.transfer.heatmap import draw_heat_map
from sgpu_lightning.evaluation.transfer.plan import Sets
from sgpu_lightning.evaluation.transfer.transfer_matrix import MATRIX_METRICS, is_matrix, matrix
from sgpu_lightning.evaluation.transfer.transfer_pair import TransferResult
from sgpu_lightning.evaluation.transfer.transfer_tables import rows_of, setting_names, setting_row, tables_of
from sgpu_lightning.metrics.registry import METRICS, in_table


def save(results: Sequence[TransferResult], sets: Sets, settings: TransferSettings, out: Path) -> list[Path]:
    """Write the folder of a run: configuration, data fingerprints, predictions, tables and heat maps.

    Args:
        results: Results of all pairs.
        sets: Evaluation sets by name.
        settings: Settings of the transfer.
        out: The folder.

    Returns:
        Paths of the heat maps.

    Raises:
        EvaluationError: If matplotlib is not installed; all other files are written before.
    """
    rows = [row for result in results for row in rows_of(result)]
    pairs = [asdict(result.pair) for result in results]
    left_out = [reason for result in results for reason in result.left_out]
    content = {
        "config": {"version": __version__, "settings": asdict(settings), "pairs": pairs},
        "data": {name: _about(sets, name) for name in sets},
        "matrix": {"rows": rows, "left_out": left_out},
    }
    save_tables(out, rows={"matrix": rows}, pages={"matrix": tables_of(results, sets)}, content=content)
    save_predictions(results, sets, out / "predictions.parquet")
    return _heat_maps(results, out / "maps")


def _heat_maps(results: Sequence[TransferResult], out: Path) -> list[Path]:
    return _matrix_maps(results, out) if is_matrix(results) else _setting_maps(results, out)


def _matrix_maps(results: Sequence[TransferResult], out: Path) -> list[Path]:
    """Draw metrics over sources and targets."""
    files = []
    for metric, name in MATRIX_METRICS:
        values, rows, columns = matrix(results, metric, name)
        files += draw_heat_map(
            values,
            rows,
            columns,
            title=f"{METRICS[metric].heading}, {name}",
            path=out / f"{metric}-{name.replace(' ', '-')}",
            lower_is_better=METRICS[metric].lower_is_better,
        )
    return files


def _setting_maps(results: Sequence[TransferResult], out: Path) -> list[Path]:
    """Draw metrics over settings and targets."""
    names, columns, files = setting_names(results), [result.pair.target for result in results], []
    for metric in in_table("transfer"):
        lines = [setting_row(result, names, metric.name) for result in results]
        files += draw_heat_map(
            np.array([[line[name] for line in lines] for name in names]),
            names,
            columns,
            title=f"{metric.heading}, fitted on the others",
            path=out / metric.name,
            lower_is_better=metric.lower_is_better,
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
    """Write every prediction behind the metrics, one row each, as Parquet.

    The columns are source, target, setting, labels, draw, id, fold, label and p_correct.

    Args:
        results: Results of all pairs.
        sets: Evaluation sets by name.
        path: Path of the file.
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
