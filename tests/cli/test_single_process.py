"""A fit on one device runs as one process, whatever a launcher left in the environment."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from sgpu_lightning.training.trainer.single_process import is_one_device, leftover_variables, single_process
from tests.cli.calls import sgpu
from tests.toy import toy_store

SLURM = {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "x", "SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODEID": "0"}
TORCHRUN = {"WORLD_SIZE": "4", "RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29987"}
ONE_TASK = {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "x", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "left",
    [SLURM | {"WORLD_SIZE": "4", "RANK": "1"}, TORCHRUN | {"TORCHELASTIC_RUN_ID": "none"}],
    ids=["slurm", "torchrun"],
)
def test_a_fit_is_not_split_or_refused(left):
    toy_store(Path("white"), count=120)
    call = ["fit", "--data.answers", "white", "--data.encoder", "null", "--trainer.max_steps", "25"]
    result = sgpu(*call, **left)
    assert result.returncode == 0, result.stderr
    assert "checkpoint: runs/fit/version_0/checkpoints/best.ckpt" in result.stdout
    assert {path.name for path in Path("runs/fit/version_0").iterdir()} >= {"config.yaml", "metrics.csv", "checkpoints"}
    notice = f"sgpu fit: one device is used, so the launcher's variables {', '.join(sorted(left))} are ignored"
    assert notice in result.stderr


@pytest.mark.parametrize("left", [{}, ONE_TASK, {"WORLD_SIZE": "1", "RANK": "0"}, {"MASTER_ADDR": "x"}, {"RANK": ""}])
def test_an_environment_of_one_process_is_left_as_it_is(left):
    assert leftover_variables(left | {"HOME": "/"}) == []


@pytest.mark.parametrize("left", [SLURM, TORCHRUN, {"RANK": "1"}, {"SLURM_PROCID": "2"}, {"JSM_NAMESPACE_SIZE": "2"}])
def test_all_variables_of_several_processes_are_found(left):
    assert leftover_variables(left | {"HOME": "/"}) == sorted(left)


def test_the_environment_and_the_rank_come_back(monkeypatch, capsys):
    from lightning_utilities.core.rank_zero import rank_zero_only

    monkeypatch.setattr(rank_zero_only, "rank", 1)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    seen = []
    with suppress(KeyError), single_process("fit"):
        seen = [os.environ.get("RANK"), os.environ.get("WORLD_SIZE"), rank_zero_only.rank]
        raise KeyError  # as a fit that breaks
    assert seen == [None, None, 0]
    assert (os.environ["RANK"], os.environ["WORLD_SIZE"], rank_zero_only.rank) == ("1", "2", 1)
    assert capsys.readouterr().err == (
        "fit: one device is used, so the launcher's variables RANK, WORLD_SIZE are ignored; "
        "set devices to use several\n"
    )


@pytest.mark.parametrize(
    ("arguments", "one"),
    [
        ((1,), True),
        (("1",), True),
        (([3],), True),
        (("auto", 1, "cpu"), True),
        (("auto", 1, "gpu"), False),
        ((2,), False),
        (([0, 1],), False),
        ((-1,), False),
        ((1, 2), False),
    ],
)
def test_one_device_is_recognised(arguments, one):
    assert is_one_device(*arguments) is one
