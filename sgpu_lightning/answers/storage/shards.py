"""A store's files: names that no two writers share, each written whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sgpu_lightning.errors import SGPUError

# 00003-1-5f0c2a9e.parquet: the fourth shard of the process of rank 1. Stores of format 1 have 00003.parquet.
_NAME = re.compile(r"(\d+)(?:-(\d+)-([0-9a-f]+))?\.parquet")
# Nobody takes so long from a shard's first file to its last. A younger one may belong to a living writer on a
# machine whose locks this one does not see.
ORPHAN_AGE = 3600.0
_LOCK_PATIENCE = 600.0


class StoreError(SGPUError):
    """A store that is not one, cannot be written, or was made with other settings than those asked for."""


class ShardNames:
    """Names for the shards one process writes.

    The number orders them, and rank and a random token tell writers apart, so that processes which know nothing of
    one another, on file systems without locks, still never write one name.

    Args:
        folder: Where the shards are; numbers go on after the largest there.
        rank: This process's rank; orders shards of the same number.
    """

    def __init__(self, folder: Path, rank: int = 0) -> None:
        self._rank = rank
        self._next = max((_order(name)[0] for name in shard_names(folder)), default=-1) + 1
        self._token, self._owner = secrets.token_hex(4), os.getpid()

    def take(self) -> str:
        """A name that nobody else takes."""
        if self._owner != os.getpid():  # a fork must not go on with its parent's
            self._token, self._owner = secrets.token_hex(4), os.getpid()
        name = f"{self._next:05d}-{self._rank}-{self._token}.parquet"
        self._next += 1
        return name


def shard_names(folder: Path) -> list[str]:
    """The shards in a folder in order: by number, then rank, then token; files of other names are passed over."""
    return sorted((file.name for file in folder.glob("*.parquet") if _NAME.fullmatch(file.name)), key=_order)


def _order(name: str) -> tuple[int, int, str]:
    found = _NAME.fullmatch(name)
    assert found is not None, name
    return int(found[1]), int(found[2] or -1), found[3] or ""


def write_whole(target: Path, write: Callable[[Path], object]) -> None:
    """Write a file that takes its name only when it is complete and on the disk.

    Args:
        target: The file.
        write: Writes the path it is given.

    Raises:
        StoreError: If the system refuses, for example because the disk is full; ``target`` is then as it was.
    """
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        with writing(target):
            write(partial)
            # Some file systems tell only now that the disk is full, and without it a machine that loses power may
            # find the name but not the content.
            with partial.open("rb") as stream:
                os.fsync(stream.fileno())
            partial.replace(target)
    finally:
        with suppress(OSError):  # not there, or the whole file system refuses
            partial.unlink()


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn the system's refusal to write into a `StoreError` that names the file and says what to do."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise StoreError(
            f"{target}: cannot be written ({why}); what the store had before is whole: make room or give the right "
            "to write, then run again to go on"
        ) from error


@contextmanager
def store_lock(folder: Path) -> Iterator[None]:
    """Keep other processes from writing to the store meanwhile, where the file system has locks.

    The system frees the lock of a process that dies.

    Raises:
        StoreError: If the store cannot be written, or another process keeps the lock for ten minutes.
    """
    from filelock import FileLock, Timeout

    # One object for each file, so that who has the lock may take it again.
    lock = FileLock(folder.resolve() / ".lock", timeout=_LOCK_PATIENCE, is_singleton=True)
    try:
        with writing(folder):
            lock.acquire()
    except Timeout as error:
        raise StoreError(
            f"{folder}: expected the store to be free to write, got one that another process has kept locked for "
            f"{_LOCK_PATIENCE:.0f} s: see whether one hangs"
        ) from error
    try:
        yield
    finally:
        lock.release()


def remove_orphans(folder: Path) -> None:
    """Remove what killed runs left: half-written files, and vectors whose answers were never written.

    Args:
        folder: The store's folder. Files younger than `ORPHAN_AGE` stay.
    """
    answers = set(shard_names(folder / "answers"))
    for file in (*folder.rglob(".*.partial"), *folder.glob("vectors/*/*.parquet")):
        if file.name in answers:
            continue
        with suppress(OSError):  # another process was faster, or the store is only to be read
            if time.time() - file.stat().st_mtime > ORPHAN_AGE:
                file.unlink()
