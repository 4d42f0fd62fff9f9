"""Write P(correct) for every answer set as JSON Lines."""

from __future__ import annotations


def run(args: list[str]) -> None:
    """Parse and run."""
    from sgpu_lightning.cli.lightning_cli import run_lightning

    run_lightning("predict", args)
