"""Removal of the files that killed runs leave in a store."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from sgpu_lightning.answers.storage.shard_names import shard_names

# Seconds. No process takes this long from a shard's first file to its last. A younger file may belong to a running
# process on a machine whose locks this machine does not see.
ORPHAN_AGE = 3600.0


def remove_orphans(folder: Path) -> None:
    """Remove partly written files, and vector shards whose answers were never written.

    Args:
        folder: The store's folder. Files younger than `ORPHAN_AGE` are kept.
    """
    answers = set(shard_names(folder / "answers"))
    for file in (*folder.rglob(".*.partial"), *folder.glob("vectors/*/*.parquet")):
        if file.name in answers:
            continue
        with suppress(OSError):  # another process removed the file, or the store is read-only
            if time.time() - file.stat().st_mtime > ORPHAN_AGE:
                file.unlink()
