"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

# Before torch is imported anywhere: many small operations, two test processes on two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch

from tests.toy import write_toy_answers

torch.set_num_threads(1)

REAL_ANSWERS = Path(__file__).parents[2] / "shared" / "answers"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    # Vectors of texts are remembered for the whole run, never in the user's own cache.
    monkeypatch.setenv("SGPU_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def _own_width(monkeypatch: pytest.MonkeyPatch) -> None:
    # A terminal that tests are started from may say how wide it is: tables must not depend on it.
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(autouse=True)
def _no_leaks() -> None:
    """A test may not leak a process group."""
    yield
    assert not (torch.distributed.is_available() and torch.distributed.is_initialized())


@pytest.fixture
def toy_answers(tmp_path: Path) -> Path:
    """A file of 240 answer sets whose labels go with agreement."""
    return write_toy_answers(tmp_path / "toy.jsonl")


@pytest.fixture
def real_answers() -> Path:
    """The folder of real answer sets; skips where it is absent."""
    if not REAL_ANSWERS.is_dir():
        pytest.skip("real answer sets are not here (../shared/answers)")
    return REAL_ANSWERS
