"""Atomic writing and locking of a store's files, with errors that say what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sgpu_lightning.answers.atomic_write import atomic_write
from sgpu_lightning.errors import SGPUError

_LOCK_TIMEOUT = 600.0  # seconds


class StoreError(SGPUError):
    """A folder that is not a store, cannot be written, or was made with other settings than those requested."""


def write_whole(target: Path, write: Callable[[Path], object]) -> None:
    """Write a file that appears under its name only when it is complete and on the disk.

    Args:
        target: The file.
        write: Writes the file at the path that it is given.

    Raises:
        StoreError: If the system refuses, for example because the disk is full; ``target`` is then as it was.
    """
    with writing(target), atomic_write(target) as partial:
        write(partial)
        # Some file systems report a full disk only at fsync. Without it, a machine that loses power may keep the
        # name of the file but not its content.
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Convert the system's refusal to write (OSError) to a `StoreError` that names the file and says what to do."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise StoreError(
            f"{target}: cannot be written ({why}); the data already in the store is intact: free disk space or grant "
            "write permission, then run again to continue"
        ) from error


@contextmanager
def store_lock(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to the store meanwhile, if the file system supports locks.

    The system releases the lock of a process that dies.

    Args:
        folder: The store's folder.

    Raises:
        StoreError: If the store cannot be written, or another process holds the lock for ten minutes.
    """
    from filelock import FileLock, Timeout

    # One lock object per file, so that the holder of the lock can acquire it again.
    lock = FileLock(folder.resolve() / ".lock", timeout=_LOCK_TIMEOUT, is_singleton=True)
    try:
        with writing(folder):
            lock.acquire()
    except Timeout as error:
        raise StoreError(
            f"{folder}: expected an unlocked store, got one that another process has kept locked for "
            f"{_LOCK_TIMEOUT:.0f} s: check whether that process hangs"
        ) from error
    try:
        yield
    finally:
        lock.release()
