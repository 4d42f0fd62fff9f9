"""``sgpu sample --api`` as a user calls it: with the loopback server and with ``transformers serve``."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.cli.main import main
from sgpu_lightning.testbed import build_language_model, write_questions
from tests.sampling.server import serving

KEY = "sk-test-0123456789-secret"


@pytest.fixture
def task(tmp_path) -> Path:
    rows = [{"id": f"q{i}", "question": f"what is {i}?", "gold": [f"{i}"]} for i in range(12)]
    file = tmp_path / "asked.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def arguments(url: str, task: Path, out: Path, *more: str) -> list[str]:
    drawing = ["--sampling.num_answers", "3", "--sampling.max_new_tokens", "8"]
    return ["sample", "--api", url, "--model", "m", "--task", str(task), "--out", str(out), *drawing, *more]


def test_a_task_is_answered_by_a_server_and_tokens_and_cost_are_shown(task, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    prices = ["--server.input_price", "1", "--server.output_price", "2"]
    with serving(key=KEY) as server:
        assert main(arguments(server.url, task, tmp_path / "s", "--api_key_env", "MY_KEY", *prices)) == 0
        asked = len(server.requests)
        assert asked == 24
        assert main(arguments(server.url, task, tmp_path / "s", "--api_key_env", "MY_KEY")) == 0
        assert len(server.requests) == asked  # everything was in the store
    shown = "".join(capsys.readouterr())
    assert "24 replies, 240 tokens read and 144 written, cost 0.0005" in " ".join(shown.split())
    records = {record.id: record for record in AnswerStore.open(tmp_path / "s").records()}
    assert len(records) == 12
    for i in range(12):
        record = records[f"q{i}"]
        assert record.greedy == f"greedy of what is {i}?"
        assert record.answers == tuple(f"{k} of what is {i}?" for k in (1, 2, 3))
        assert (record.gold, record.dataset, record.model) == ((f"{i}",), "asked", "m")
    files = b"".join(file.read_bytes() for file in (tmp_path / "s").rglob("*") if file.is_file())
    assert KEY.encode() not in files
    assert KEY not in shown


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--layers", "[1]"], r"layers: expected nothing with --api, got [1]: it is for models loaded here"),
        (["--device", "cpu"], "device: expected nothing with --api, got 'cpu'"),
        (["--api_key_env", "NOT_SET"], "expected the key in the environment variable NOT_SET, which is not set"),
        (["--prompt.style", "plain"], "style: expected 'auto' or 'chat', got 'plain'"),
        (["--model", "other"], "The model `other` does not exist; check the name of the model"),
    ],
)
def test_bad_calls_give_one_clear_message(task, tmp_path, capsys, more, message):
    with serving() as server:
        assert main(arguments(server.url, task, tmp_path / "s", *more)) == 1
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.fixture
def served(tmp_path):
    """``transformers serve`` with a model of the testbed; the URL and the model's name."""
    if missing := [name for name in ("fastapi", "uvicorn") if importlib.util.find_spec(name) is None]:
        pytest.skip(f"transformers serve needs {', '.join(missing)}")
    model = build_language_model(tmp_path / "small", size="small", steps=20)
    # The server samples only if the model's generation config says so, whatever the request's temperature.
    config = model / "generation_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"do_sample": True}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = "from transformers.cli.transformers import main; main()"
    command = [sys.executable, "-c", code, "serve", str(model), "--host", "127.0.0.1", "--port", str(port)]
    log = (tmp_path / "serve.log").open("w")
    process = subprocess.Popen([*command, "--device", "cpu"], stdout=log, stderr=log, env=os.environ)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", process, tmp_path / "serve.log")
        yield f"http://127.0.0.1:{port}/v1", str(model)
    finally:
        process.kill()
        process.wait()
        log.close()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"transformers serve did not start:\n{log.read_text()[-2000:]}")


@pytest.mark.slow
def test_a_testbed_model_answers_through_transformers_serve(served, tmp_path, capsys):
    url, model = served
    task = write_questions(tmp_path / "toy.jsonl", count=10)
    # One request at a time: the server seeds a single generator for all requests in flight.
    seeded = ["--server.send_seed", "true", "--server.one_each", "true", "--server.concurrency", "1"]
    more = ["--model", model, *seeded]
    assert main(arguments(url, task, tmp_path / "s", *more)) == 0
    assert main(arguments(url, task, tmp_path / "again", *more)) == 0
    records = {record.id: record for record in AnswerStore.open(tmp_path / "s").records()}
    assert len(records) == 10
    assert all(len(record.answers) == 3 and record.model == model for record in records.values())
    assert all(record.meta["served_model"] == f"{model}@main" for record in records.values())
    assert all(len(record.meta["answer_tokens"]) == 3 for record in records.values())
    assert any(len(set(record.answers)) > 1 for record in records.values())
    again = AnswerStore.open(tmp_path / "again").records()
    assert {record.id: (record.greedy, record.answers) for record in again} == {
        key: (record.greedy, record.answers) for key, record in records.items()
    }
    assert main(arguments(url, task, tmp_path / "other", "--model", "other")) == 1
    assert "HTTP 400: Server is pinned to" in capsys.readouterr().err
