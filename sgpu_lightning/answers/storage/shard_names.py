"""Names of shard files: no two writers ever take the same name, and names sort by number."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

# 00003-1-5f0c2a9e.parquet: the fourth shard of the process of rank 1. Stores of format 1 have 00003.parquet.
_NAME = re.compile(r"(\d+)(?:-(\d+)-([0-9a-f]+))?\.parquet")


class ShardNames:
    """Generates the names of the shards that one process writes.

    A name holds a number, which orders the shards, and the rank and a random token, which distinguish the writers.
    Processes that do not know of each other, on file systems without locks, therefore never write the same name.

    Args:
        folder: Folder of the shards; numbers continue after the largest one in it.
        rank: This process's rank; orders shards of the same number.
    """

    def __init__(self, folder: Path, rank: int = 0) -> None:
        self._rank = rank
        self._next = max((_order(name)[0] for name in shard_names(folder)), default=-1) + 1
        self._token, self._owner = secrets.token_hex(4), os.getpid()

    def take(self) -> str:
        """Return a name that no other process takes."""
        if self._owner != os.getpid():  # a forked process must not use its parent's token
            self._token, self._owner = secrets.token_hex(4), os.getpid()
        name = f"{self._next:05d}-{self._rank}-{self._token}.parquet"
        self._next += 1
        return name


def shard_names(folder: Path) -> list[str]:
    """Names of the shards in a folder, sorted by number, rank and token; files of other names are ignored."""
    return sorted((file.name for file in folder.glob("*.parquet") if _NAME.fullmatch(file.name)), key=_order)


def _order(name: str) -> tuple[int, int, str]:
    found = _NAME.fullmatch(name)
    assert found is not None, name
    return int(found[1]), int(found[2] or -1), found[3] or ""
