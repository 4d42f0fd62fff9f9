"""Run all benchmarks, or the named ones, and print one table."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from rich.console import Console

from benchmarks.machine import describe_machine, machine_table, restrict_to
from benchmarks.rows import Row, table_of

# Each module has a `run()` that gives rows; its first line says what it measures.
BENCHMARKS = (
    "startup",
    "throughput",
    "predictor",
    "recording",
    "sampling",
    "scale",
    "api",
    "embedding",
    "scores",
    "fit_speed",
    "large_fit",
    "demo",
)
# Names that stand for several.
GROUPS = {"sampling": ("sampling", "scale", "api")}


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Names of benchmarks and where to write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"which to run, of {', '.join(BENCHMARKS)}; default: all"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write machine and rows there too")
    parser.add_argument("--threads", type=int, metavar="N", help="torch threads; default: as many as cores")
    parser.add_argument("--cores", type=int, default=2, help="cores to use, where the system can say; default: 2")
    parsed = parser.parse_args(arguments)
    parsed.names = [name for given in parsed.names for name in GROUPS.get(given, (given,))]
    unknown = [name for name in parsed.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"unknown benchmark '{unknown[0]}', expected some of {', '.join(BENCHMARKS)}")
    return parsed


def run_all(names: Sequence[str], console: Console) -> tuple[list[Row], dict[str, str]]:
    """The rows of each benchmark, and the errors of those that broke."""
    rows: list[Row] = []
    failed: dict[str, str] = {}
    for name in names:
        module = import_module(f"benchmarks.{name}")
        console.print(f"[bold]{name}[/bold]: {(module.__doc__ or '').splitlines()[0]}", highlight=False)
        start = time.perf_counter()
        try:
            rows += module.run()
        except Exception as error:  # one that breaks must not take the others' figures along
            traceback.print_exc()
            failed[name] = f"{type(error).__name__}: {error}"
        console.print(f"  {time.perf_counter() - start:.0f} s", style="dim")
    return rows, failed


def prepare(cores: int, threads: int | None) -> None:
    """Set what torch reads as it starts, here and in processes to come; nothing may have imported it yet."""
    restrict_to(cores)
    os.environ["HF_HUB_OFFLINE"] = "1"
    # Threads that wait for one another spin for some milliseconds by default, which takes the core from the thread
    # they wait for as soon as anything else runs on the machine. This short spin costs nothing where nothing does.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)


def main() -> int:
    """Run, print and write.

    Returns:
        The exit status: 1 if a benchmark broke; a missed target is a finding, not an error.
    """
    arguments = parse_arguments()
    prepare(arguments.cores, arguments.threads)
    console = Console(width=None if sys.stdout.isatty() else 120)
    machine = describe_machine()
    console.print(machine_table(machine))
    start = time.perf_counter()
    rows, failed = run_all(arguments.names or BENCHMARKS, console)
    console.print(table_of(rows, failed))
    console.print(f"{time.perf_counter() - start:.0f} s in all")
    if arguments.json is not None:
        result = {"machine": machine, "rows": [row.to_dict() for row in rows], "failed": failed}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
