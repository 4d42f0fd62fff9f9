"""Images out of datasets, as files: records name an image, they do not hold it."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sgpu_lightning.tasks.jsonl import TaskError

FORMATS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif"}


def image_file(value: object, where: str, *, base: Path | None = None) -> Path:
    """The file of an image that a dataset gave undecoded.

    Its bytes are written once, under their SHA-256, to ``images`` in the user's cache folder.

    Args:
        value: ``{"bytes": ..., "path": ...}`` as ``datasets.Image(decode=False)`` gives it.
        where: Named in errors.
        base: Folder that a path without bytes is relative to; None refuses paths, for data from elsewhere must not
            choose which files of this machine are read.

    Raises:
        TaskError: If there is no image, or of a format that is not among `FORMATS`.
    """
    image: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
    if image.get("bytes"):
        return _store(image["bytes"], where)
    if image.get("path") and base is not None:
        file = base / image["path"]
        if not file.is_file():
            raise TaskError(f"{where}: expected an image file, got none at {file}")
        return file.resolve()
    raise TaskError(f"{where}: expected the bytes of an image, got none")


def _store(data: bytes, where: str) -> Path:
    from sgpu_lightning.answers.cache_folder import default_cache_dir

    name = hashlib.sha256(data).hexdigest()
    folder = default_cache_dir() / "images" / name[:2]
    file = folder / f"{name}{_suffix(data, where)}"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
        partial.write_bytes(data)
        partial.replace(file)
    return file.resolve()


def _suffix(data: bytes, where: str) -> str:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=list(FORMATS)) as image:  # reads the header, decodes nothing
            return FORMATS[str(image.format)]
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise TaskError(f"{where}: expected an image ({', '.join(FORMATS)}), got {len(data)} other bytes") from error
