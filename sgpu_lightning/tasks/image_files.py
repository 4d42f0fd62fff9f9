"""Images of datasets, stored as files: a record holds the path of its image, not the image."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sgpu_lightning.answers.atomic_write import atomic_write
from sgpu_lightning.answers.cache_folder import default_cache_dir
from sgpu_lightning.tasks.question import TaskError

FORMATS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif"}


def image_file(value: object, where: str, *, base: Path | None = None) -> Path:
    """Path of the file of an undecoded image from a dataset.

    The bytes are written once to ``images`` in the user's cache folder, in a file named by their SHA-256.

    Args:
        value: ``{"bytes": ..., "path": ...}`` as returned by ``datasets.Image(decode=False)``.
        where: Place of the image, for error messages.
        base: Folder that a path without bytes is relative to. None refuses such paths, because data from elsewhere
            must not choose which files of this machine are read.

    Raises:
        TaskError: If there is no image, or its format is not one of `FORMATS`.
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
    name = hashlib.sha256(data).hexdigest()
    folder = default_cache_dir() / "images" / name[:2]
    file = folder / f"{name}{_suffix(data, where)}"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as partial:
            partial.write_bytes(data)
    return file.resolve()


def _suffix(data: bytes, where: str) -> str:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=list(FORMATS)) as image:  # reads only the header
            return FORMATS[str(image.format)]
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise TaskError(f"{where}: expected an image ({', '.join(FORMATS)}), got {len(data)} other bytes") from error
