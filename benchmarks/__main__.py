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

# Each module has a `run()` that returns rows; the first line of its docstring says what it measures.
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
# Names that stand for several benchmarks.
GROUPS = {"sampling": ("sampling", "scale", "api")}


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line: names of benchmarks, output file, threads and cores."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"benchmarks to run, out of {', '.join(BENCHMARKS)}; default: all"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the machine's description and the rows to this file"
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="number of torch threads; default: the number of cores"
    )
    parser.add_argument(
        "--cores", type=int, default=2, help="number of cores to use, where the system supports it; default: 2"
    )
    parsed = parser.parse_args(arguments)
    parsed.names = [name for given in parsed.names for name in GROUPS.get(given, (given,))]
    unknown = [name for name in parsed.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"unknown benchmark '{unknown[0]}', expected one of {', '.join(BENCHMARKS)}")
    return parsed


def run_all(names: Sequence[str], console: Console) -> tuple[list[Row], dict[str, str]]:
    """Run benchmarks.

    Args:
        names: Names of the benchmarks.
        console: Console for the progress.

    Returns:
        The rows of all benchmarks, and the error messages of those that failed, by name.
    """
    rows: list[Row] = []
    failed: dict[str, str] = {}
    for name in names:
        module = import_module(f"benchmarks.{name}")
        console.print(f"[bold]{name}[/bold]: {(module.__doc__ or '').splitlines()[0]}", highlight=False)
        start = time.perf_counter()
        try:
            rows += module.run()
        except Exception as error:  # a benchmark that fails must not discard the figures of the others
            traceback.print_exc()
            failed[name] = f"{type(error).__name__}: {error}"
        console.print(f"  {time.perf_counter() - start:.0f} s", style="dim")
    return rows, failed


def prepare(cores: int, threads: int | None) -> None:
    """Set the cores and environment variables that torch reads when it is imported, here and in child processes.

    Call it before anything imports torch.

    Args:
        cores: Number of cores to use.
        threads: Number of torch threads; None for torch's default.
    """
    restrict_to(cores)
    os.environ["HF_HUB_OFFLINE"] = "1"
    # By default, threads that wait for one another spin for some milliseconds. If anything else runs on the machine,
    # the spinning takes the core from the thread they wait for. This short spin costs nothing on an idle machine.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)


def main() -> int:
    """Run the benchmarks, print the table and write the file.

    Returns:
        The exit status: 1 if a benchmark failed, else 0. A missed target is a result, not a failure.
    """
    arguments = parse_arguments()
    prepare(arguments.cores, arguments.threads)
    console = Console(width=None if sys.stdout.isatty() else 120)
    machine = describe_machine()
    console.print(machine_table(machine))
    start = time.perf_counter()
    rows, failed = run_all(arguments.names or BENCHMARKS, console)
    console.print(table_of(rows, failed))
    console.print(f"{time.perf_counter() - start:.0f} s in total")
    if arguments.json is not None:
        result = {"machine": machine, "rows": [row.to_dict() for row in rows], "failed": failed}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
