"""Common parts of the evaluation verbs: terminal, progress bar, number of threads, and saving of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

Item = TypeVar("Item")


class Evaluation:
    """One run of an evaluation verb.

    It limits torch to one thread, because fits of a GP are many small operations, which one thread runs fastest.

    Args:
        out: Folder for the tables; None to only show them.
    """

    def __init__(self, out: Path | None) -> None:
        import torch

        from sgpu_lightning.console import make_console

        torch.set_num_threads(1)
        self.out = out
        self.console = make_console()

    def track(self, items: Iterable[Item], description: str) -> Iterable[Item]:
        """Show a progress bar while the caller iterates over the items."""
        from rich.progress import track

        return track(list(items), description=description, console=self.console)

    def show(self, tables: Iterable[Any]) -> None:
        """Print rich tables."""
        for table in tables:
            self.console.print(table)

    def say(self, text: str) -> None:
        """Print a text literally: names and paths in it may look like rich's markup."""
        self.console.print(text, markup=False, highlight=False)

    def save(self, write: Callable[[Path], object], what: Sequence[str] = ("tables",)) -> None:
        """Write the results if there is a folder for them, and say where they are.

        Args:
            write: Writes the results into the folder that it is given.
            what: Names of what it writes, for the message.
        """
        if self.out is not None:
            write(self.out)
            *first, last = what
            self.say(f"{', '.join(first)}{' and ' if first else ''}{last} are in {self.out}")
