"""Several processes on one task: each samples its part into the same store."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sgpu_lightning.answers.storage.store import AnswerStore, StoreError
from sgpu_lightning.cli.main import main
from sgpu_lightning.embedding.embed_answers import embed_store
from sgpu_lightning.sampling import store_writer
from sgpu_lightning.sampling.launch import Launch
from sgpu_lightning.sampling.run import sample_to_store
from sgpu_lightning.tasks.question import Question
from sgpu_lightning.testbed import build_language_model, write_questions
from tests.embedding.helpers import CountingEncoder
from tests.sampling.stores import Oracle, assert_same_content

QUESTIONS = [Question(id=f"q{i}", question=f"What is {i}?") for i in range(50)]


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(store_writer, "SHARD_SIZE", 10)


def run_as(monkeypatch, rank, world_size, path, sampler=None):
    """Run one process of a launch. They run one after the other and do not wait, because there is no rendezvous."""
    sampler = sampler or Oracle()
    with monkeypatch.context() as patch:
        patch.setenv("RANK", str(rank))
        patch.setenv("WORLD_SIZE", str(world_size))
        sample_to_store(sampler, QUESTIONS, path, task="t", progress=False)
    return sampler


@pytest.fixture
def whole(tmp_path):
    return sample_to_store(Oracle(), QUESTIONS, tmp_path / "whole", task="t", progress=False)


@pytest.mark.parametrize("world_size", [2, 3, 7, 60])
def test_several_processes_give_the_same_store_as_one(monkeypatch, tmp_path, whole, world_size):
    asked = [run_as(monkeypatch, rank, world_size, tmp_path / "s").asked for rank in range(world_size)]
    assert max(map(len, asked)) - min(map(len, asked)) <= 1
    store = AnswerStore.open(tmp_path / "s")
    assert_same_content(store, whole)
    ranks = {int(shard.split("-")[1]) for shard in store.shards}
    assert ranks == set(range(min(world_size, len(QUESTIONS))))


def test_a_run_continues_with_another_number_of_processes(monkeypatch, tmp_path, whole):
    def die(i):
        if i == 7:
            raise KeyboardInterrupt

    for rank in range(3):
        with pytest.raises(KeyboardInterrupt):
            run_as(monkeypatch, rank, 3, tmp_path / "s", Oracle(before=die))
    asked = [run_as(monkeypatch, rank, 2, tmp_path / "s").asked for rank in range(2)]
    assert sum(map(len, asked)) == len(QUESTIONS) - 3 * 7
    assert_same_content(AnswerStore.open(tmp_path / "s"), whole)


def test_two_independent_runs_write_nothing_twice(tmp_path, whole):
    def another_run(i):
        if i == 25:
            sample_to_store(Oracle(), QUESTIONS[::-1], tmp_path / "s", task="t", progress=False)

    sample_to_store(Oracle(before=another_run), QUESTIONS, tmp_path / "s", task="t", progress=False)
    assert_same_content(AnswerStore.open(tmp_path / "s"), whole)


def test_failures_of_all_processes_are_in_the_store(monkeypatch, tmp_path):
    for rank in range(2):
        run_as(monkeypatch, rank, 2, tmp_path, Oracle({"q0", "q1"}))
    assert set(AnswerStore.open(tmp_path).failures()) == {"q0", "q1"}
    for rank in range(2):
        run_as(monkeypatch, rank, 2, tmp_path)
    assert AnswerStore.open(tmp_path).failures() == {}


def test_an_encoder_embeds_the_shards_of_all_processes(monkeypatch, tmp_path):
    for rank in range(2):
        run_as(monkeypatch, rank, 2, tmp_path)
    store = AnswerStore.open(tmp_path)
    name = embed_store(store, CountingEncoder(), progress=False)
    assert all(len(store.read_vectors(name, shard).counts) == len(store.read(shard)) for shard in store.shards)


def test_the_launch_is_read_from_the_environment(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert Launch.of_this_process() == Launch(0, 1)
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "2")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    assert Launch.of_this_process() == Launch(2, 4)
    assert not Launch(2, 4).is_main
    assert Launch(2, 4).select(range(11)) == [2, 6, 10]


def test_processes_that_start_a_store_at_once_agree_on_it(tmp_path):
    def start(rank):
        return AnswerStore.create(tmp_path, {"kind": "sample", "model": "tiny"}, rank=rank)

    with ThreadPoolExecutor(8) as pool:
        assert all(store.source["model"] == "tiny" for store in pool.map(start, range(8)))
    with pytest.raises(StoreError, match="model: the store has 'tiny', now asked 'big'"):
        AnswerStore.create(tmp_path, {"kind": "sample", "model": "big"})


APPENDER = """
import sys
from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.storage.store import AnswerStore
store = AnswerStore.create("store", {"kind": "sample"})
for i in range(20):
    store.append([AnswerSet(id=f"{sys.argv[1]}-{i}", answers=("a", "b"))])
"""


def test_unrelated_processes_append_at_once(tmp_path):
    writers = [subprocess.Popen([sys.executable, "-c", APPENDER, name], cwd=tmp_path) for name in "abc"]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0, 0]
    records = [record.id for record in AnswerStore.open(tmp_path / "store").records()]
    assert sorted(records) == sorted(f"{name}-{i}" for name in "abc" for i in range(20))


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """`sample` on a tiny model and 60 questions, one of which is too long for the model."""
    folder = tmp_path_factory.mktemp("real")
    model = build_language_model(folder / "model", size="small", steps=20)
    task = write_questions(folder / "toy.jsonl", count=60)
    lines = task.read_text().splitlines()
    long = json.loads(lines[7]) | {"id": "long", "question": "What? " * 2000}
    task.write_text("\n".join([*lines[:7], json.dumps(long), *lines[8:]]) + "\n")
    sampling = ["--sampling.num_answers", "3", "--sampling.max_new_tokens", "6", "--device", "cpu"]
    return ["sample", "--model", str(model), "--task", str(task), *sampling]


@pytest.fixture(scope="module")
def alone(command, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone")
    assert main([*command, "--out", str(out)]) == 1
    return AnswerStore.open(out)


def launched(launcher: list[str], command: list[str], out: Path) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", *launcher, "-m", "sgpu_lightning", *command, "--out", str(out)]
    environment = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    return subprocess.run(call, capture_output=True, text=True, env=environment | {"OMP_NUM_THREADS": "1"})


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def ranks_of(store: AnswerStore) -> set[str]:
    return {shard.split("-")[1] for shard in store.shards}


@pytest.mark.slow
def test_torchrun_gives_the_store_of_one_process_and_reports_failures_once(command, alone, tmp_path):
    launcher = ["torch.distributed.run", "--nproc_per_node", "2", "--master_port", free_port()]
    done = launched(launcher, command, tmp_path / "s")
    store = AnswerStore.open(tmp_path / "s")
    assert_same_content(store, alone)
    assert ranks_of(store) == {"0", "1"}
    assert list(store.failures()) == ["long"]
    # It does not matter which process had the failure: the others were not stopped by it.
    assert done.returncode != 0
    assert done.stderr.count("1 of 60 questions got no answers; all the others are in") == 1
    assert "question 'long': expected at most" in done.stderr
    assert done.stdout.count("59 answer sets are in") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "ranks"),
    [(["--cpu", "--num_processes", "2"], {"0"}), (["--multi_gpu", "--num_processes", "2"], {"0", "1"})],
)
def test_accelerate_launch_gives_the_store_of_one_process(command, alone, tmp_path, options, ranks):
    launcher = ["accelerate.commands.launch", *options, "--main_process_port", free_port()]
    done = launched(launcher, command, tmp_path / "s")
    store = AnswerStore.open(tmp_path / "s")
    assert_same_content(store, alone)
    assert ranks_of(store) == ranks
    # Without MPI, accelerate starts a single process on the CPU without a warning.
    assert ("the launcher started only this process" in done.stderr) == (len(ranks) == 1)
