"""Decoded rows of JSON Lines (.jsonl, .jsonl.gz) and Parquet files, each with where it stood."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from sgpu_lightning.answers.record import KEYS, RecordError

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
MAX_LINE = 16 * 2**20  # bytes: a line is read whole, and a record is never near that
_PARQUET_BATCH = 1024


def is_row_file(path: Path) -> bool:
    """Whether the file's name is one that `read_rows` can read."""
    return path.name.endswith(SUFFIXES)


def read_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield ``(where, row)`` for each row; ``where`` names file and line (or row, in Parquet).

    A row that is not valid JSON is yielded as the `RecordError` that says so, so that a caller may go on
    after it; nothing after a truncated end can be read, so that raises.

    Raises:
        FileNotFoundError: If the file is not there.
        RecordError: If the suffix is unknown, a compressed file ends early or the file is no Parquet or gzip file.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; expected an answer file ({', '.join(SUFFIXES)}) or a store folder"
        )
    if path.name.endswith(".parquet"):
        yield from _read_parquet(path)
    elif path.name.endswith((".jsonl", ".jsonl.gz")):
        yield from _read_json_lines(path)
    else:
        raise RecordError(f"{path}: unknown kind of file, expected one of {', '.join(SUFFIXES)}")


def _read_json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    with cast("IO[bytes]", gzip.open(path) if path.name.endswith(".gz") else path.open("rb")) as stream:
        number = 0
        while True:
            try:
                line = stream.readline(MAX_LINE + 1)
                where = f"{path}:{number + 1}"
                if len(line) > MAX_LINE:
                    number += 1
                    _pass_over(stream)
                    yield (
                        where,
                        RecordError(f"{where}: expected a record of at most {MAX_LINE:,} bytes, got a longer line"),
                    )
                    continue
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise RecordError(
                    f"{path}:{number + 1}: the compressed file is truncated or damaged ({error}); {number} lines were "
                    "readable; write or copy the file again"
                ) from error
            if not line:
                return
            number += 1
            if line.strip():
                yield where, _decode(line, where)


def _pass_over(stream: IO[bytes]) -> None:
    """Read to the line's end, a piece at a time."""
    while (piece := stream.readline(MAX_LINE)) and not piece.endswith(b"\n"):
        pass


def _decode(line: bytes, where: str) -> Any:
    try:
        # Without the line end, or an object cut off there would be reported at column 1 of the next line.
        return json.loads(line.decode("utf-8-sig").rstrip())
    except UnicodeDecodeError as error:
        return RecordError(f"{where}: expected UTF-8 text, got a byte that is not ({error})")
    except json.JSONDecodeError as error:
        return RecordError(
            f"{where}: broken JSON at column {error.colno}: {error.msg}; expected one object on the line"
        )
    except RecursionError:
        return RecordError(f"{where}: JSON nested too deeply to read; expected a flat record")
    except ValueError as error:  # a number of thousands of digits
        return RecordError(f"{where}: broken JSON: {error}; expected one object on the line")


def _read_parquet(path: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=_PARQUET_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    where = f"{path}:row {number}"
                    yield where, _json_ready(row, where)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: not a readable Parquet file ({error})") from error


def _json_ready(row: dict[str, Any], where: str) -> dict[str, Any] | RecordError:
    """Parquet has dates, decimals and bytes that JSON has not: in unknown columns they become text.

    It has no free-form object: stores keep ``meta`` as JSON text.
    """
    row = {key: value if key in KEYS else json.loads(json.dumps(value, default=str)) for key, value in row.items()}
    if not isinstance(row.get("meta"), str):
        return row
    try:
        return row | {"meta": json.loads(row["meta"])}
    except (ValueError, RecursionError) as error:
        return RecordError(f"{where}: key 'meta': expected an object, or one as JSON text, got broken JSON ({error})")
