"""The LLM judge: its requests, reading its replies, and that each verdict belongs to its record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sgpu_lightning.answers.grading.grader import RecordGrader, Verdict
from sgpu_lightning.answers.labelling import write_records
from sgpu_lightning.answers.reader import read_answers
from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.cli.main import main
from sgpu_lightning.errors import SamplingError, SGPUError
from sgpu_lightning.sampling.judge import (
    PROMPT_VERSION,
    SYSTEM,
    LLMJudge,
    judge_messages,
    make_judge,
    parse_verdict,
)
from sgpu_lightning.sampling.server.client import ApiClient
from sgpu_lightning.sampling.server.server_settings import ApiSettings
from tests.sampling.server import serving


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def record_of(i: int, greedy: str = "Paris", gold: tuple[str, ...] | None = ("Paris",)) -> AnswerSet:
    return AnswerSet(id=f"q{i}", question=f"capital {i}?", answers=("a", "b"), greedy=greedy, gold=gold, meta={"k": i})


def judging(task: str, _: int) -> str:
    """A judge that compares literally, and names the question in its reason."""
    asked = json.loads(task)
    right = asked["answer_to_grade"] in asked["accepted_answers"]
    return json.dumps({"correct": right, "reason": f"for {asked['question']}"})


def judge_at(url: str, **settings) -> LLMJudge:
    return LLMJudge(ApiClient(url, "m", ApiSettings(**settings)))


def test_verdicts_come_in_the_order_of_the_records():
    records = [record_of(i, "Paris" if i % 3 else "Rome") for i in range(40)]
    with serving(say=judging, faults=0.2, hang=0.5) as server:
        verdicts = judge_at(server.url, timeout=0.25, max_retries=6).grade(records)
    assert verdicts == [Verdict(bool(i % 3), f"for capital {i}?") for i in range(40)]


def test_the_judge_sees_question_context_gold_and_scored_answer_at_temperature_0():
    record = AnswerSet(
        id="q", question="Who?", context="Ada wrote.", answers=("Ada", "Bob"), greedy="Ada", gold=("Ada L",)
    )
    with serving(say=judging) as server:
        judge_at(server.url).grade([record])
        (body,) = server.requests
    assert (body["temperature"], body["max_tokens"]) == (0, 200)
    assert body["messages"] == judge_messages(record)
    assert json.loads(body["messages"][1]["content"]) == {
        "question": "Who?",
        "context": "Ada wrote.",
        "accepted_answers": ["Ada L"],
        "answer_to_grade": "Ada",
    }


def test_verdict_and_reason_are_kept_with_the_label():
    judge = judge_at("http://127.0.0.1:1/v1")
    kept = {"model": "m", "prompt_version": PROMPT_VERSION}
    right = judge.apply(record_of(1), Verdict(True, "same city"))
    assert (right.label, right.meta) == (1, {"k": 1, "judge": {"verdict": True, "reason": "same city"} | kept})
    assert judge.apply(record_of(1), Verdict(False, "")).label == 0
    unknown = judge.apply(record_of(1), Verdict(None, "mumbled"))
    assert (unknown.label, unknown.meta["judge"]["reason"]) == (None, "mumbled")


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('{"correct": true, "reason": "same"}', Verdict(True, "same")),
        (' {"correct": false}\n', Verdict(False, "")),
        ('```json\n{"correct": true, "reason": "r"}\n```', Verdict(True, "r")),
        ("CORRECT: the same", Verdict(True, "the same")),
        ("**Incorrect.** Another city.", Verdict(False, "Another city.")),
    ],
)
def test_verdicts_are_read(text, verdict):
    assert parse_verdict(text) == verdict


@pytest.mark.parametrize(
    "text",
    [
        "The answer is correct.",
        "Correctly speaking, no.",
        "Correct me if I am wrong.",
        '{"correct": "true"}',
        '{"correct": 1}',
        '{"verdict": true}',
        "[true]",
        '{"correct": true',
        "",
    ],
)
def test_unclear_replies_give_no_verdict(text):
    verdict = parse_verdict(text)
    assert verdict.correct is None
    assert verdict.reason.startswith("the judge gave no verdict: ")


def test_no_gold_and_a_refused_request_give_no_verdict_with_the_reason():
    def refuse(body):
        return (400, "content policy") if "capital 1?" in str(body["messages"]) else None

    with serving(say=judging, refuse=refuse) as server:
        verdicts = judge_at(server.url).grade([record_of(0), record_of(1), record_of(2, gold=None)])
    assert verdicts[0].correct is True
    assert verdicts[1] == Verdict(None, "the judge could not be asked: HTTP 400: content policy")
    assert verdicts[2] == Verdict(None, "there are no gold answers to judge by")
    with pytest.raises(SGPUError, match="record 'q2': expected gold answers to judge by, got none"):
        judge_messages(record_of(2, gold=None))


def test_sgpu_label_asks_a_judge_and_writes_its_labels(tmp_path, capsys):
    rows = [record_of(i, "Paris" if i % 3 else "Rome") for i in range(6)]
    write_records(tmp_path / "asked.jsonl", rows)
    with serving(say=judging) as server:
        options = json.dumps({"api": server.url, "model": "m"})
        call = ["label", str(tmp_path / "asked.jsonl"), "--grader", "judge", "--options", options]
        assert main([*call, "--out", str(tmp_path / "judged.jsonl")]) == 0
    assert "graded by judge" in capsys.readouterr().out
    judged = list(read_answers(tmp_path / "judged.jsonl"))
    assert [record.label for record in judged] == [0, 1, 1, 0, 1, 1]
    assert judged[1].meta["judge"]["reason"] == "for capital 1?"


def test_make_judge_takes_the_options_of_the_command_line(monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    with serving(say=judging, key="secret") as server:
        judge = make_judge(server.url, "m", api_key_env="MY_KEY", max_tokens=50)
        assert isinstance(judge, RecordGrader)
        assert judge.grade([record_of(0)]) == [Verdict(True, "for capital 0?")]
        assert server.requests[0]["max_tokens"] == 50
    with pytest.raises(SamplingError, match="environment variable NOT_SET, which is not set"):
        make_judge("http://x/v1", "m", api_key_env="NOT_SET")


def test_the_instruction_is_the_documented_one():
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    assert " ".join(SYSTEM.split()) in " ".join(page.split())


def test_an_unknown_judge_model_is_one_error():
    with serving(models=("other",)) as server, pytest.raises(SamplingError, match="model 'm': HTTP 404"):
        judge_at(server.url).grade([record_of(i) for i in range(9)])
