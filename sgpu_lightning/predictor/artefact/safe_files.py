"""The files in a predictor's folder: their names, writing them all or none, and reading them with a size limit."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from sgpu_lightning.predictor.predictor_errors import PredictorError

CONFIG, WEIGHTS, CARD, PICTURE = "config.json", "model.safetensors", "README.md", "calibration.svg"
FILES = (CONFIG, WEIGHTS, CARD, PICTURE)
# Largest file that is read. Predictors take kilobytes, or some megabytes with a learned projection.
MAX_BYTES = 256 * 2**20


def write_folder(folder: Path, files: Mapping[str, bytes], *, overwrite: bool = False) -> None:
    """Write a predictor's files into a new folder. The folder appears only when it is complete.

    Args:
        folder: The folder.
        files: File contents by name; the names are those in `FILES`.
        overwrite: Whether an existing predictor may be replaced. A folder that holds other files is never replaced.

    Raises:
        PredictorError: If the folder exists and may not be replaced.
    """
    folder = folder.resolve()
    require_free(folder, overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(4)
    partial, old = (folder.with_name(f".{folder.name}.{token}.{kind}") for kind in ("partial", "old"))
    try:
        partial.mkdir()
        for name in FILES:
            if name in files:
                (partial / name).write_bytes(files[name])
        if folder.exists():
            folder.rename(old)
        try:
            partial.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def require_free(folder: Path, overwrite: bool) -> None:
    """Refuse an existing folder unless it is empty or, with ``overwrite``, holds nothing but a predictor.

    Raises:
        PredictorError: If the folder may not be written; the message names what it holds.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise PredictorError(f"{folder}: expected a folder to export to, got a file")
    if others := sorted(file.name for file in folder.iterdir() if file.name not in FILES):
        raise PredictorError(
            f"{folder}: expected a predictor's files only, got other files as well ({others[0]}): choose a new folder"
        )
    if not overwrite and any(folder.iterdir()):
        raise PredictorError(f"{folder}: already holds a predictor: choose a new folder, or give --overwrite")


def read_file(folder: Path, name: str) -> bytes:
    """Read one of a predictor's files.

    Raises:
        PredictorError: If the file does not exist, or is larger than `MAX_BYTES`.
    """
    path = folder / name
    if not path.is_file():
        raise PredictorError(f"{folder}: no {name} in this folder; expected a folder written by 'sgpu export'")
    if path.stat().st_size > MAX_BYTES:
        raise PredictorError(f"{path}: expected at most {MAX_BYTES:,} bytes, got {path.stat().st_size:,}")
    return path.read_bytes()
