"""Atomic writing of files: a reader finds the complete file or none."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``target``, which is renamed to ``target`` if the block ends without an error.

    After an error the temporary file is removed and ``target`` is as it was. Several processes may write the same
    target at the same time: each has its own temporary file.

    Args:
        target: The file to write; its folder must exist.
    """
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        partial.replace(target)
    finally:
        with suppress(OSError):  # the file was renamed, or the whole file system refuses writes
            partial.unlink()
