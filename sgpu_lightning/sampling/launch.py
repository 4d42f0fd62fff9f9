"""Several processes working on one task: this process's rank, its questions, and waiting for the others."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

Item = TypeVar("Item")
_BARRIER_TIMEOUT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Launch:
    """This process among those started by ``accelerate launch``, ``torchrun`` or ``mpirun``.

    Args:
        rank: Index of this process, from 0.
        world_size: Number of processes.
    """

    rank: int = 0
    world_size: int = 1

    @classmethod
    def of_this_process(cls) -> Launch:
        """Read rank and world size from the launcher's environment variables; a single process without a launcher."""
        from accelerate.utils.environment import get_cpu_distributed_information

        found = get_cpu_distributed_information()  # works for every launcher and device, in spite of its name
        return cls(found.rank, found.world_size)

    @property
    def is_main(self) -> bool:
        """Whether this is the process that prints messages for all."""
        return self.rank == 0

    def select(self, items: Sequence[Item]) -> list[Item]:
        """This process's items: every ``world_size``-th one, independent of what the other processes have done."""
        return list(items[self.rank :: self.world_size])

    def warn_if_alone(self) -> None:
        """Warn if a launcher was asked for several processes but started only one."""
        if self.world_size == 1 and "MASTER_ADDR" in os.environ and "WORLD_SIZE" not in os.environ:
            warnings.warn(
                "the launcher started only this process: with --cpu, 'accelerate launch' needs mpirun to start "
                "several; 'torchrun --nproc_per_node 2 -m sgpu_lightning sample ...' starts several without it",
                stacklevel=2,
            )

    def wait_for_all(self) -> None:
        """Block until every process has called this; return at once if the processes have no rendezvous address.

        A launcher ends all processes as soon as one exits with an error. A process that has failed questions must
        therefore not exit before the others have finished.
        """
        if self.world_size == 1 or "MASTER_ADDR" not in os.environ:
            return
        import torch.distributed as dist

        # The process group is created only now, so that during the run no process waits for another and no collective
        # can time out.
        dist.init_process_group("gloo", rank=self.rank, world_size=self.world_size, timeout=_BARRIER_TIMEOUT)
        try:
            dist.barrier()
        finally:
            dist.destroy_process_group()
