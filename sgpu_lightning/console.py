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

    If the output is a file or a pipe, which has no width, the console is wide enough for every table; rich's default of
    80 columns would break names. As in any program, ``COLUMNS`` overrides the width.
    """
    from rich.console import Console

    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if known else _FILE_WIDTH)


def say(text: str) -> None:
    """Print a text literally, without line breaks in paths: paths and answers may look like rich's markup."""
    make_console().print(text, markup=False, soft_wrap=True)
