"""``sgpu merge``."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import auto_cli

from sgpu_lightning.cli.paths import files_first


def merge(stores: list[Path], *, out: Path) -> None:
    """Make several stores into one, for example those of machines that share no disk.

    The stores must come from the same model, task and settings. An answer set that several hold is taken once; if they
    hold different answers to it, nothing is written.

    Args:
        stores: Folders of the stores; they are left as they are.
        out: The merged store's folder. A store that is there is added to.
    """
    from sgpu_lightning.answers.storage.merging import merge_stores
    from sgpu_lightning.console import say

    merged, added, present = merge_stores(stores, out)
    there = f", {present} were there" if present else ""
    say(f"{added} answer sets added to {out}{there}; it holds {len(merged.ids())}")


def run(args: list[str]) -> None:
    """Parse and run."""
    auto_cli(merge, args=files_first(args[1:]), prog="sgpu merge")
