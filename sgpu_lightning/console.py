"""The terminal that tables and messages are shown in."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_FILE_WIDTH = 220


def make_console() -> Console:
    """A rich console as wide as the terminal.

    Written to a file or a pipe, which has no width, it is wide enough for every table: rich would take 80 columns
    there and cut names in two. ``COLUMNS`` says otherwise, as for any program.
    """
    from rich.console import Console

    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if known else _FILE_WIDTH)


def say(text: str) -> None:
    """Print a text as it stands: paths and answers may hold what reads as markup, and paths are not broken in two."""
    make_console().print(text, markup=False, soft_wrap=True)
