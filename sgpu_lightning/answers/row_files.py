"""Reading of decoded rows from JSON Lines (.jsonl, .jsonl.gz) and Parquet files, each with its place."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from sgpu_lightning.answers.record import KEYS, RecordError

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")
MAX_LINE = 16 * 2**20  # bytes; each line is read into memory, and no real record comes near this size
_PARQUET_BATCH = 1024


def is_row_file(path: Path) -> bool:
    """Whether `read_rows` can read a file of this name."""
    return path.name.endswith(SUFFIXES)


def read_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield ``(where, row)`` for each row; ``where`` names file and line (in Parquet: file and row).

    A row that is not valid JSON is yielded as a `RecordError` instead of raising it, so that a caller can continue
    with the next row. A truncated file raises, because nothing after its end can be read.

    Args:
        path: A .jsonl, .jsonl.gz or .parquet file.

    Raises:
        FileNotFoundError: If the file does not exist.
        RecordError: If the suffix is unknown, a compressed file is truncated, or the content is not Parquet or gzip.
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
                    _skip_line(stream)
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


def _skip_line(stream: IO[bytes]) -> None:
    """Read to the end of the line in pieces, without keeping it in memory."""
    while (piece := stream.readline(MAX_LINE)) and not piece.endswith(b"\n"):
        pass


def _decode(line: bytes, where: str) -> Any:
    try:
        # The line end is stripped: otherwise an object that ends too early is reported at column 1 of the next line.
        return json.loads(line.decode("utf-8-sig").rstrip())
    except UnicodeDecodeError as error:
        return RecordError(f"{where}: expected UTF-8 text, got a byte that is not ({error})")
    except json.JSONDecodeError as error:
        return RecordError(
            f"{where}: broken JSON at column {error.colno}: {error.msg}; expected one object on the line"
        )
    except RecursionError:
        return RecordError(f"{where}: JSON nested too deeply to read; expected a flat record")
    except ValueError as error:  # an integer of thousands of digits
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
    """Convert a Parquet row to JSON types.

    Parquet has dates, decimals and bytes, which JSON lacks: in unknown columns they become text. Parquet has no
    free-form object: stores keep ``meta`` as JSON text, which is decoded here.
    """
    row = {key: value if key in KEYS else json.loads(json.dumps(value, default=str)) for key, value in row.items()}
    if not isinstance(row.get("meta"), str):
        return row
    try:
        return row | {"meta": json.loads(row["meta"])}
    except (ValueError, RecursionError) as error:
        return RecordError(f"{where}: key 'meta': expected an object, or one as JSON text, got broken JSON ({error})")
