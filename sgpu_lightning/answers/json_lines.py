"""Writing of JSON Lines files, plain or gzip-compressed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, cast

from sgpu_lightning.answers.atomic_write import atomic_write
from sgpu_lightning.errors import SGPUError


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write one JSON object a line to a file that appears only when it is complete.

    Lone surrogates, which a record's ``meta`` may hold, are written as JSON escapes.

    Args:
        path: The file, compressed if its name ends in ``.gz``. Its folder is created if it does not exist.
        rows: JSON-ready objects; they are consumed one at a time.

    Returns:
        Number of rows written.

    Raises:
        SGPUError: If the path is a folder.
    """
    if path.is_dir():
        raise SGPUError(f"{path}: expected a file to write to, got a folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with atomic_write(path) as partial:
        opened = (gzip.open if path.suffix == ".gz" else open)(
            partial, "wt", encoding="utf-8", errors="backslashreplace"
        )
        with cast("IO[str]", opened) as stream:
            for row in rows:
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1
    return count
