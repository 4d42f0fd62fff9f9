"""Merge several stores of one model and task into one."""

from __future__ import annotations

from pathlib import Path

from sgpu_lightning.cli.arguments import files_first
from sgpu_lightning.cli.parser import run_function


def merge(stores: list[Path], *, out: Path) -> None:
    """Merge several stores into one, for example those of machines that share no disk.

    The stores must come from the same model, task and settings. An answer set that is in several stores is added once.
    If stores hold different answers to the same question, nothing is written.

    Args:
        stores: Folders of the stores; they are not changed.
        out: The merged store's folder. An existing store is extended.
    """
    from sgpu_lightning.answers.storage.merging import merge_stores
    from sgpu_lightning.console import say

    merged, added, present = merge_stores(stores, out)
    there = f", {present} were already there" if present else ""
    say(f"{added} answer sets added to {out}{there}; it holds {len(merged.ids())}")


def run(args: list[str]) -> None:
    """Parse and run."""
    run_function(merge, "merge", files_first(args))
