"""Several processes on one task: which one this is, and the end of all of them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

Item = TypeVar("Item")
_PATIENCE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Launch:
    """This process among those that ``accelerate launch``, ``torchrun`` or ``mpirun`` started.

    Args:
        rank: From 0.
        world_size: How many there are.
    """

    rank: int = 0
    world_size: int = 1

    @classmethod
    def of_this_process(cls) -> Launch:
        """As the launcher says in the environment; alone where there is none."""
        from accelerate.utils.environment import get_cpu_distributed_information

        found = get_cpu_distributed_information()  # of any launcher, whatever the device
        return cls(found.rank, found.world_size)

    @property
    def is_main(self) -> bool:
        """Whether this is the process that speaks for all."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """This process's part, the same whatever the others have done: every so many-th item."""
        return list(items[self.rank :: self.world_size])

    def warn_if_alone(self) -> None:
        """Say that a launcher asked for several processes started one."""
        if self.world_size == 1 and "MASTER_ADDR" in os.environ and "WORLD_SIZE" not in os.environ:
            warnings.warn(
                "the launcher started this process alone: with --cpu, 'accelerate launch' starts several only by way "
                "of mpirun; 'torchrun --nproc_per_node 2 -m sgpu_lightning sample ...' always does",
                stacklevel=2,
            )

    def wait_for_all(self) -> None:
        """Return when all processes have come here; at once where they have no address to meet at.

        A launcher ends all processes as soon as one ends with an error: one that has questions left without an answer
        must not do so before the others are through.
        """
        if self.world_size == 1 or "MASTER_ADDR" not in os.environ:
            return
        import torch.distributed as dist

        # No process group stands during the run: nobody's pace depends on the others', and no time-out applies.
        dist.init_process_group("gloo", rank=self.rank, world_size=self.world_size, timeout=_PATIENCE)
        try:
            dist.barrier()
        finally:
            dist.destroy_process_group()
