"""Hides leftover variables of a launcher, which would break a fit on one device. This file imports no torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

# Variables of torchrun, Slurm and LSF, or set by hand, by which Lightning recognises several processes.
_NAMES = frozenset(
    {
        "GROUP_RANK",
        "LOCAL_RANK",
        "LOCAL_WORLD_SIZE",
        "LSB_DJOB_RANKFILE",
        "MASTER_ADDR",
        "MASTER_PORT",
        "NODE_RANK",
        "RANK",
        "WORLD_SIZE",
    }
)
_PREFIXES = ("JSM_NAMESPACE_", "SLURM_", "TORCHELASTIC_")
_COUNTS = ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_NTASKS", "JSM_NAMESPACE_SIZE")
_RANKS = ("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "SLURM_PROCID", "SLURM_LOCALID", "JSM_NAMESPACE_RANK")


def is_one_device(devices: Any, num_nodes: int = 1, accelerator: str = "auto") -> bool:
    """Whether Trainer arguments ask for one device.

    Args:
        devices: The Trainer's argument: a number, ``"auto"``, or a list of devices.
        num_nodes: Number of machines.
        accelerator: The Trainer's argument; on ``"cpu"``, ``devices="auto"`` is one device.
    """
    if isinstance(devices, list | tuple):
        one = len(devices) == 1
    else:
        one = str(devices) == "1" or (str(devices) == "auto" and accelerator == "cpu")
    return one and num_nodes == 1


def leftover_variables(environment: Mapping[str, str]) -> list[str]:
    """Find the launcher variables in an environment that describes several processes.

    Args:
        environment: Environment variables, such as ``os.environ``.

    Returns:
        Sorted names; empty if the environment describes a single process, as in a Slurm job with one task.
    """
    several = any(_number(environment.get(name)) > 1 for name in _COUNTS)
    if not several and not any(_number(environment.get(name)) > 0 for name in _RANKS):
        return []
    return sorted(name for name in environment if name in _NAMES or name.startswith(_PREFIXES))


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0


@contextmanager
def single_process(caller: str = "fit", devices_option: str = "devices") -> Iterator[None]:
    """Hide launcher variables that describe several processes, and print a message to standard error.

    If these variables are set, Lightning refuses to start on one device (Slurm), waits for processes that never start,
    or acts as a process that writes neither log nor checkpoint (``RANK=1``).

    Args:
        caller: Name of the running command, for the message.
        devices_option: The option that asks for several devices, for the message.
    """
    hidden = {name: os.environ.pop(name) for name in leftover_variables(os.environ)}
    if not hidden:
        yield
        return
    print(
        f"{caller}: one device is used, so the launcher's variables {', '.join(hidden)} are ignored; "
        f"set {devices_option} to use several",
        file=sys.stderr,
    )
    restore_rank = _become_rank_zero()
    try:
        yield
    finally:
        os.environ.update(hidden)
        restore_rank()


def _become_rank_zero() -> Any:
    """Reset the rank that Lightning read from the environment at import; returns a function that restores it."""
    module = sys.modules.get("lightning_utilities.core.rank_zero")
    function = getattr(module, "rank_zero_only", None)
    before = getattr(function, "rank", None)
    if function is not None and before is not None:
        function.rank = 0

    def restore() -> None:
        if function is not None and before is not None:
            function.rank = before

    return restore
