"""Time of `sgpu --help` and of `import sgpu_lightning`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.rows import Row
from benchmarks.timing import interleaved, summary

ROUNDS = 5
HELP_SECONDS = 0.5
IMPORT_SECONDS = 0.1


def sgpu_command() -> list[str]:
    """Find the installed command beside this Python; run the module if it is not installed."""
    script = Path(sys.executable).with_name("sgpu")
    return [str(script)] if script.exists() else [sys.executable, "-m", "sgpu_lightning"]


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def run() -> list[Row]:
    """Measure the whole process that prints the help text, and the import alone."""
    commands = {
        "help": [*sgpu_command(), "--help"],
        "import": [sys.executable, "-c", "import sgpu_lightning"],
        "bare": [sys.executable, "-c", "pass"],
    }
    for command in commands.values():
        _run(command)  # once, to fill the byte-code and disk caches
    seconds = interleaved({name: partial(_run, command) for name, command in commands.items()}, ROUNDS)
    net = median(seconds["import"]) - median(seconds["bare"])
    details = summary(seconds)
    return [
        Row(
            what="sgpu --help",
            value=median(seconds["help"]),
            unit="s",
            at_most=HELP_SECONDS,
            note=f"whole process, median of {ROUNDS}",
            details=details,
        ),
        Row(
            what="import sgpu_lightning",
            value=net,
            unit="s",
            at_most=IMPORT_SECONDS,
            note=f"`python -c` with the import minus `python -c pass` ({median(seconds['bare']):.3f} s), "
            f"medians of {ROUNDS}",
            details=details,
        ),
    ]
