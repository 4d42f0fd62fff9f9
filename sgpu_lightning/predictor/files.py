"""A predictor's folder: its files, written all at once, and where a name leads."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sgpu_lightning.predictor.config import PredictorError

CONFIG, WEIGHTS, CARD, PICTURE = "config.json", "model.safetensors", "README.md", "calibration.svg"
FILES = (CONFIG, WEIGHTS, CARD, PICTURE)
MAX_BYTES = 256 * 2**20  # of a file; predictors are kilobytes, some megabytes with a learned projection
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def write_folder(folder: Path, files: Mapping[str, bytes], *, overwrite: bool = False) -> None:
    """Write a predictor's files into a new folder, which appears only when it is whole.

    Args:
        folder: The folder.
        files: Content by name, the names out of `FILES`.
        overwrite: Whether a predictor that is there may be replaced; a folder with other files in it never is.

    Raises:
        PredictorError: If the folder is there.
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
    """Refuse a folder that is there, unless it is empty or, with ``overwrite``, holds a predictor alone.

    Raises:
        PredictorError: Saying what is there.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise PredictorError(f"{folder}: expected a folder to export to, got a file")
    if others := sorted(file.name for file in folder.iterdir() if file.name not in FILES):
        raise PredictorError(f"{folder}: holds other files than a predictor's ({others[0]}): choose a new folder")
    if not overwrite and any(folder.iterdir()):
        raise PredictorError(f"{folder}: there is a predictor already: choose a new folder, or give --overwrite")


def is_hub_name(name: str) -> bool:
    """Whether a name can be one on the hub, and leads to no folder but one below this one."""
    return _HUB_NAME.fullmatch(name) is not None


def find_folder(name: str | Path, revision: str | None = None) -> Path:
    """The folder a predictor is in: the one named, or one fetched from the hub.

    Args:
        name: A folder, or a hub id such as ``owner/name``.
        revision: Branch, tag or commit of a hub id.

    Raises:
        PredictorError: If there is neither.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists() or isinstance(name, Path) or "/" not in name or not is_hub_name(name):
        raise PredictorError(f"{name}: no such folder; expected one written by 'sgpu export', or a hub id 'owner/name'")
    from huggingface_hub import snapshot_download

    with hub_errors(f"{name}: neither a folder here nor loadable from the hub"):
        return Path(snapshot_download(name, revision=revision, allow_patterns=[CONFIG, WEIGHTS]))


@contextmanager
def hub_errors(problem: str) -> Iterator[None]:
    """Turn whatever the hub's client raises into a `PredictorError` that begins with ``problem``."""
    try:
        yield
    except Exception as error:  # no connection, no repository, no right to write: each of another library's kind
        raise PredictorError(f"{problem} ({error}); see 'hf auth login' and $HF_HUB_OFFLINE") from error


def read_file(folder: Path, name: str) -> bytes:
    """The content of one of the predictor's files.

    Raises:
        PredictorError: If it is not there, or far too large to be a predictor's.
    """
    path = folder / name
    if not path.is_file():
        raise PredictorError(f"{folder}: no {name} in it; expected a folder written by 'sgpu export'")
    if path.stat().st_size > MAX_BYTES:
        raise PredictorError(f"{path}: expected at most {MAX_BYTES:,} bytes, got {path.stat().st_size:,}")
    return path.read_bytes()
