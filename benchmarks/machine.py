"""Description of the machine and the library versions that the figures were measured with."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.table import Table

LIBRARIES = (
    *("sgpu-lightning", "torch", "lightning", "gpytorch", "torchmetrics", "transformers", "sentence-transformers"),
    *("scikit-learn", "numpy", "pyarrow"),
)
OPENMP = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def usable_cores() -> int:
    """Number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def restrict_to(cores: int) -> None:
    """Restrict this process and its children to a number of cores, where the system supports it.

    Call it before torch is imported.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def describe_machine() -> dict[str, str]:
    """Describe the machine, its load and the library versions."""
    import torch

    facts = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "CPU": _cpu_model(),
        "cores": f"{usable_cores()} used of {os.cpu_count()}",
        "memory": f"{_memory_gib():.1f} GiB",
        "load before": " ".join(f"{value:.2f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "?",
        "OS": _operating_system(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "torch threads": str(torch.get_num_threads()),
        "OpenMP": ", ".join(f"{name}={os.environ[name]}" for name in OPENMP if name in os.environ) or "defaults",
    }
    return facts | {name: _version(name) for name in LIBRARIES}


def machine_table(facts: Mapping[str, str]) -> Table:
    """Show the description as a table of two columns."""
    table = Table(title="machine", show_header=False, title_justify="left")
    for name, value in facts.items():
        table.add_row(name, value)
    return table


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):
        return float("nan")


def _operating_system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = platform.system()
    return f"{name}, kernel {platform.release()}, {platform.machine()}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
