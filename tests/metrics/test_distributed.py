"""Two processes give what one gives: every metric, in one pair of processes, since starting them is slow."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing
from torchmetrics import MetricCollection

from sgpu_lightning import metrics

CLASSES = [getattr(metrics, name) for name in metrics.__all__ if isinstance(getattr(metrics, name), type)]
# Rank 0 takes the answers before the cut, rank 1 those after it: some for both, or none for one of them.
CUTS = {"uneven": 47, "rank 1 has no data": 70, "rank 0 has no data": 0}


def answers() -> tuple[Tensor, Tensor]:
    probs = torch.linspace(0, 1, 70, dtype=torch.float64).square()
    return probs, (torch.arange(70) % 3 > 0).long()


def every_metric() -> MetricCollection:
    collection = MetricCollection(
        [cls() for cls in CLASSES if cls is not metrics.ProbabilityMetric], compute_groups=False
    )
    return collection.to("cpu")  # what Lightning does, and what sets the dtype of torchmetrics' own to float32


def values(probs: Tensor, labels: Tensor) -> dict[str, Tensor]:
    collection = every_metric()
    for batch in zip(probs.split(20), labels.split(20), strict=True):
        collection.update(*batch)
    return collection.compute()


def work(rank: int, folder: str) -> None:
    if sys.platform == "linux":
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/init", rank=rank, world_size=2)
    try:
        probs, labels = answers()
        results = {}
        for name, cut in CUTS.items():
            mine = slice(0, cut) if rank == 0 else slice(cut, None)
            results[name] = values(probs[mine], labels[mine])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results["nobody has data"] = every_metric().compute()
        torch.save(results, f"{folder}/{rank}.pt")
    finally:
        distributed.destroy_process_group()


@pytest.mark.skipif(not distributed.is_available(), reason="torch is built without distributed")
def test_two_processes_give_what_one_gives(tmp_path: Path):
    multiprocessing.spawn(work, args=(str(tmp_path),), nprocs=2)
    expected = values(*answers())
    for rank in (0, 1):
        results = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert all(value.isnan() for value in results.pop("nobody has data").values())
        assert results.keys() == CUTS.keys()
        for name, got in results.items():
            assert got.keys() == expected.keys()
            for key, value in got.items():
                assert value.dtype == torch.float64
                assert value.shape == expected[key].shape
                assert (value - expected[key]).abs().max() < 1e-12, (rank, name, key)
