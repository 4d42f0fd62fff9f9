"""`sgpu sample` is killed a dozen times at random moments and continued each time."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.testbed import build_language_model, write_questions
from tests.sampling.stores import assert_same_content

# Every run is a separate process, forked from one that has imported everything: a dozen imports would take minutes.
NURSERY = """
import os, sys
import torch
torch.set_num_threads(1)
from sgpu_lightning.cli.main import main
from sgpu_lightning.sampling import store_writer
store_writer.SHARD_SIZE = 4
sys.stdout.flush()
pipe, quiet = os.dup(1), os.open(os.devnull, os.O_WRONLY)
os.dup2(quiet, 1)
assert main(sys.argv[1:]) == 0
os.write(pipe, b"ready\\n")
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os._exit(main(line.split()))
    os.write(pipe, f"{child}\\n".encode())
    os.write(pipe, f"{os.waitpid(child, 0)[1]}\\n".encode())
"""
KILLS = 12


class Lives:
    """Runs of one command, each in its own process."""

    def __init__(self, warm_up: list[str]) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", NURSERY, *warm_up],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout.readline() == "ready\n"

    def live(self, command: list[str], seconds: float | None = None) -> int:
        """Run the command, kill it after so many seconds, and give its status as `os.waitpid` does."""
        self.process.stdin.write(" ".join(command) + "\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        if seconds is not None:
            time.sleep(seconds)
            # The id still refers to the child, even if it has ended, because its parent has not waited for it.
            os.kill(child, signal.SIGKILL)
        return int(self.process.stdout.readline())


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_dozen_killed_runs_end_with_the_content_of_an_uninterrupted_one(tmp_path):
    model = build_language_model(tmp_path / "model", size="small", steps=20)
    task = write_questions(tmp_path / "toy.jsonl", count=400)

    def command(out: Path) -> list[str]:
        sampling = ["--sampling.num_answers", "3", "--sampling.max_new_tokens", "6", "--batch_size", "2"]
        files = ["--model", str(model), "--task", str(task), "--out", str(out)]
        return ["sample", *files, "--device", "cpu", *sampling]

    lives = Lives([*command(tmp_path / "warm"), "--limit", "2"])
    try:
        start = time.monotonic()
        assert lives.live(command(tmp_path / "whole")) == 0
        whole_run = time.monotonic() - start
        first = min((tmp_path / "whole" / "answers").iterdir(), key=lambda file: file.name)
        start_up = first.stat().st_mtime - (tmp_path / "whole" / "manifest.json").stat().st_ctime + 0.3
        draw, statuses, sizes = random.Random(0), [], [0]
        for _ in range(KILLS):
            # Some are killed at the start, some between two shards, some within one; together they cannot finish.
            statuses.append(lives.live(command(tmp_path / "killed"), draw.uniform(0, start_up + whole_run / KILLS)))
            there = (tmp_path / "killed" / "manifest.json").exists()
            sizes.append(len(AnswerStore.open(tmp_path / "killed").ids()) if there else 0)
        assert statuses == [signal.SIGKILL] * KILLS
        assert sizes == sorted(sizes)
        assert len(set(sizes)) > 3
        assert lives.live(command(tmp_path / "killed")) == 0
    finally:
        lives.process.stdin.close()
        lives.process.wait(timeout=60)
    killed, whole = AnswerStore.open(tmp_path / "killed"), AnswerStore.open(tmp_path / "whole")
    assert len(whole.ids()) == 400
    assert_same_content(killed, whole)
