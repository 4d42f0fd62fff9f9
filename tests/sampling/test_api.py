"""The API backend against a loopback server, with and without faults."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import signal
import threading
from collections.abc import Sequence

import pytest

from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.errors import SamplingError
from sgpu_lightning.sampling.outcome import Failed, Outcome, Sampled
from sgpu_lightning.sampling.sampling_settings import SamplingSettings
from sgpu_lightning.sampling.server.api_sampler import ApiSampler, answer_seed
from sgpu_lightning.sampling.server.client import ApiClient
from sgpu_lightning.sampling.server.dialect import NO_LOGPROBS, ONE_ANSWER, RENAMED_LIMIT
from sgpu_lightning.sampling.server.server_settings import ApiSettings
from sgpu_lightning.tasks.prompt_settings import PromptSettings
from sgpu_lightning.tasks.question import Question
from tests.sampling.server import FAULTS, Server, serving

N = 4
KEY = "sk-test-0123456789-secret"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(autouse=True)
def _no_thread_left():
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "sgpu-api"]


def sampler_of(server: Server, *, model: str = "m", key_env: str = "OPENAI_API_KEY", **options) -> ApiSampler:
    drawing = {name: options.pop(name) for name in ("temperature", "top_k", "top_p", "seed") if name in options}
    prompt = options.pop("prompt", None)
    client = ApiClient(server.url, model, ApiSettings(**options), api_key_env=key_env)
    return ApiSampler(client, SamplingSettings(num_answers=N, max_new_tokens=8, **drawing), prompt=prompt)


def questions_of(count: int) -> list[Question]:
    return [Question(id=f"q{i}", question=f"what is {i}?", gold=(f"gold {i}",)) for i in range(count)]


def by_id(outcomes: Sequence[Outcome]) -> dict[str, Sampled]:
    failed = [outcome.reason for outcome in outcomes if isinstance(outcome, Failed)]
    assert not failed
    return {outcome.record.id: outcome for outcome in outcomes if isinstance(outcome, Sampled)}


def assert_own(sampled: Sampled, question: Question) -> None:
    record = sampled.record
    assert (record.id, record.question, record.gold) == (question.id, question.question, question.gold)
    assert record.greedy == f"greedy of {question.question}"
    assert len(record.answers) == N
    assert all(answer.endswith(f" of {question.question}") for answer in record.answers)
    assert sampled.vectors == {}


def test_every_answer_belongs_to_its_question_with_one_request_for_all_n():
    with serving(latency=0.005) as server:
        found = by_id(list(sampler_of(server).answer(questions_of(30))))
        for question in questions_of(30):
            assert_own(found[question.id], question)
            assert found[question.id].record.answers == tuple(f"{k} of {question.question}" for k in range(1, N + 1))
        assert len(server.requests) == 60


def test_greedy_is_temperature_0_and_settings_are_sent():
    with serving() as server:
        sampler = sampler_of(server, temperature=0.7, top_p=0.9, top_k=5, extra_body={"min_p": 0.1})
        by_id(list(sampler.answer(questions_of(1))))
        greedy, sampled = sorted(server.requests, key=lambda body: body["temperature"])
    assert (greedy["temperature"], sampled["temperature"]) == (0, 0.7)
    assert {"top_p": 0.9, "top_k": 5, "n": N, "max_tokens": 8, "min_p": 0.1}.items() <= sampled.items()
    assert not {"top_p", "top_k", "n", "seed"} & greedy.keys()
    assert "seed" not in sampled


def test_a_server_that_ignores_n_is_asked_for_the_missing_answers_and_then_one_by_one():
    with serving(heeds_n=False) as server:
        sampler = sampler_of(server)
        found = by_id(list(sampler.answer(questions_of(10))))
        for question in questions_of(10):
            assert_own(found[question.id], question)
        assert not sampler.client.dialect.several
        assert "n" not in server.requests[-1]


@pytest.mark.parametrize(
    ("refuse", "fallback"),
    [
        (lambda body: (400, "'n' must be at most 1") if "n" in body else None, ONE_ANSWER),
        (lambda body: (400, "logprobs are not supported") if "logprobs" in body else None, NO_LOGPROBS),
        (lambda body: (422, "unknown field") if "logprobs" in body else None, NO_LOGPROBS),
        (
            lambda body: (400, "'max_tokens': use 'max_completion_tokens' instead") if "max_tokens" in body else None,
            RENAMED_LIMIT,
        ),
    ],
)
def test_a_feature_that_the_server_refuses_is_no_longer_used(refuse, fallback):
    with serving(refuse=refuse) as server:
        sampler = sampler_of(server)
        found = by_id(list(sampler.answer(questions_of(5))))
        for question in questions_of(5):
            assert_own(found[question.id], question)
        assert fallback in sampler.client.dialect.taken
        assert refuse(server.requests[-1]) is None


def test_a_question_that_is_refused_changes_nothing_for_the_others():
    def refuse(body):
        return (400, "content policy") if "what is 3?" in str(body["messages"]) else None

    with serving(refuse=refuse, gives_logprobs=True) as server:
        sampler = sampler_of(server)
        outcomes = list(sampler.answer(questions_of(10)))
        (failed,) = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
        assert failed == Failed(questions_of(10)[3], "question 'q3': HTTP 400: content policy")
        found = by_id([outcome for outcome in outcomes if outcome is not failed])
        assert len(found) == 9
        assert all(sampled.record.logprobs is not None for sampled in found.values())
        assert sampler.client.dialect.several


def test_logprobs_are_summed_over_each_answer_where_offered():
    with serving(gives_logprobs=True) as server:
        record = by_id(list(sampler_of(server).answer(questions_of(1))))["q0"].record
        assert record.logprobs == (-0.5 * 5,) * N
        assert record.meta == {"cut": 0, "answer_tokens": [5] * N, "greedy_tokens": 5, "greedy_logprob": -2.5}
    with serving() as server:
        record = by_id(list(sampler_of(server).answer(questions_of(1))))["q0"].record
        assert record.logprobs is None
        assert record.meta == {"cut": 0}


def test_three_requests_in_ten_go_wrong_and_no_answer_is_lost_or_moved():
    questions = questions_of(60)
    with serving(faults=0.3, hang=0.6) as server:
        sampler = sampler_of(server, timeout=0.25, max_retries=1, concurrency=16)
        found: dict[str, Sampled] = {}
        runs = 0
        while len(found) < len(questions) and runs < 8:
            runs += 1
            outcomes = list(sampler.answer([question for question in questions if question.id not in found]))
            assert len(outcomes) == len(questions) - len(found)
            assert all(outcome.reason for outcome in outcomes if isinstance(outcome, Failed))
            found |= by_id([outcome for outcome in outcomes if isinstance(outcome, Sampled)])
        for question in questions:
            assert_own(found[question.id], question)
        assert runs > 1  # so asking again was tested, too
        assert set(server.happened) == {*FAULTS, "None"}


def test_the_wait_is_what_retry_after_asks_for():
    with serving(retry_after="1") as server:
        server.fault = lambda question: "429" if len(server.times) == 2 else None
        by_id(list(sampler_of(server, concurrency=1).answer(questions_of(1))))
        assert len(server.times) == 3
        assert 0.95 <= server.times[2] - server.times[1] <= 3


def test_as_many_requests_are_in_flight_as_allowed_and_no_more():
    with serving(latency=0.05) as server:
        by_id(list(sampler_of(server, concurrency=8).answer(questions_of(40))))
        assert server.most_in_flight == 8


def test_an_answer_that_is_always_empty_is_the_models_answer():
    with serving(say=lambda question, k: "") as server:
        record = by_id(list(sampler_of(server, max_retries=1).answer(questions_of(1))))["q0"].record
        assert (record.greedy, set(record.answers)) == ("", {""})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "other"}, "model 'other': HTTP 404: The model `other` does not exist; check the name of the model"),
        ({"key_env": "MY_KEY"}, r"HTTP 401: Incorrect API key provided: \[key\]; check the key .* variable MY_KEY"),
        ({"top_k": 3}, "HTTP 400: Unrecognized argument: top_k"),
    ],
)
def test_an_error_that_every_question_would_get_ends_the_run_at_the_start(options, message, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)

    def refuse(body):
        return (400, "Unrecognized argument: top_k") if "top_k" in body else None

    with (
        serving(key="right" if "key_env" in options else None, refuse=refuse) as server,
        pytest.raises(SamplingError, match=message),
    ):
        list(sampler_of(server, **options).answer(questions_of(50)))
    assert len(server.requests) <= 6


def test_an_unreachable_server_is_one_error_at_once():
    with serving() as server:
        pass
    with pytest.raises(SamplingError, match=r"http://127.0.0.1:\d+/v1, model 'm': could not connect"):
        list(sampler_of(server).answer(questions_of(5)))


def test_a_server_that_goes_away_fails_the_rest_and_a_later_run_gets_them():
    with serving() as server:
        sampler = sampler_of(server, max_retries=0)
        assert len(by_id(list(sampler.answer(questions_of(2))))) == 2
    outcomes = list(sampler.answer(questions_of(3)))
    assert all(isinstance(outcome, Failed) and "could not connect" in outcome.reason for outcome in outcomes)


def test_the_key_is_in_no_file_message_or_log(tmp_path, monkeypatch, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", KEY)

    def refuse(body):
        return (400, f"bad request by {KEY}") if "what is 1?" in str(body["messages"]) else None

    with serving(key=KEY, refuse=refuse) as server:
        sampler = sampler_of(server, key_env="MY_KEY", max_retries=0)
        outcomes = list(sampler.answer(questions_of(4)))
    (failed,) = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    assert failed.reason == "question 'q1': HTTP 400: bad request by [key]"
    store = AnswerStore.create(tmp_path / "s", sampler.describe())
    store.append([outcome.record for outcome in outcomes if isinstance(outcome, Sampled)])
    files = b"".join(file.read_bytes() for file in (tmp_path / "s").rglob("*") if file.is_file())
    shown = "".join(capsys.readouterr()) + caplog.text + repr(sampler.client) + repr(outcomes) + str(vars(sampler))
    assert len(files) > 100
    assert KEY.encode() not in files
    assert KEY not in shown


def test_an_image_is_sent_as_it_is_in_the_file_and_a_url_only_where_allowed(tmp_path):
    (tmp_path / "dot.png").write_bytes(PNG)
    (tmp_path / "text.png").write_bytes(b"no image at all")
    os.mkfifo(tmp_path / "pipe.png")  # reading it would never end
    images = [tmp_path / "dot.png", tmp_path / "text.png", tmp_path / "none.png", "https://example.com/a.png"]
    images += [tmp_path / "pipe.png", "data:image/png;base64,AAAA", "x" * 10_000]
    asked = [Question(id=f"q{i}", question=f"see {i}", image=str(image)) for i, image in enumerate(images)]
    with serving() as server:
        outcomes = {
            o.record.id if isinstance(o, Sampled) else o.question.id: o for o in sampler_of(server).answer(asked)
        }
        sent = server.requests[0]["messages"][0]["content"]
        assert sent[0]["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
        assert sent[1] == {"type": "text", "text": "see 0"}
        assert (outcomes["q0"].record.modality, outcomes["q0"].record.image) == ("image", str(images[0]))
        assert "question 'q1': image" in outcomes["q1"].reason
        assert "expected PNG, JPEG, GIF, BMP or WebP, got a file that begins with b'no image'" in outcomes["q1"].reason
        assert "expected a file, got none at this path; the current folder is" in outcomes["q2"].reason
        assert "got the URL 'https://example.com/a.png': set allow_urls to pass it on" in outcomes["q3"].reason
        assert "expected a file, got none at this path; the current folder is" in outcomes["q4"].reason
        assert "expected a file, got a data URL: write the image to a file" in outcomes["q5"].reason
        assert "image xxx" in outcomes["q6"].reason
        assert len(outcomes["q6"].reason) < 300
        allowed = by_id(list(sampler_of(server, allow_urls=True).answer(asked[3:4])))
        assert allowed["q3"].record.greedy == "greedy of see 3"
        assert server.requests[-1]["messages"][0]["content"][0]["image_url"]["url"] == images[3]


def test_a_server_that_does_not_sample_gives_a_warning():
    with (
        serving(say=lambda question, k: f"same of {question}") as server,
        pytest.warns(
            UserWarning, match="all sampled answers to all 12 questions equal the greedy ones: does the server"
        ),
    ):
        list(sampler_of(server).answer(questions_of(12)))


def test_the_prompts_system_message_template_and_chat_options_are_sent():
    prompt = PromptSettings(template="Q: {question}", system="Be brief.", chat_options={"enable_thinking": False})
    with serving() as server:
        list(sampler_of(server, prompt=prompt).answer(questions_of(1)))
        assert server.requests[0]["messages"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Q: what is 0?"},
        ]
        assert server.requests[0]["chat_template_kwargs"] == {"enable_thinking": False}


def test_seeds_are_sent_where_asked_for_and_differ_between_answers():
    with serving() as server:
        list(sampler_of(server, send_seed=True, one_each=True, seed=3).answer(questions_of(2)))
        seeds = [body["seed"] for body in server.requests]
    assert sorted(seeds) == sorted(answer_seed(3, name, j) for name in ("q0", "q1") for j in range(N + 1))
    assert len(set(seeds)) == 2 * (N + 1)
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_it_works_where_an_event_loop_runs_already():
    async def cell() -> list[Outcome]:
        return list(sampler.answer(questions_of(3)))

    with serving() as server:
        sampler = sampler_of(server)
        assert len(by_id(asyncio.run(cell()))) == 3


def test_closing_early_cancels_the_remaining_requests():
    with serving(latency=0.02) as server:
        outcomes = sampler_of(server, concurrency=2).answer(questions_of(200))
        next(outcomes)
        outcomes.close()
        asked = len(server.requests)
        assert asked < 50
        assert not [thread for thread in threading.enumerate() if thread.name == "sgpu-api"]


def test_an_interrupt_ends_cleanly():
    with serving(latency=5) as server:
        timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            list(sampler_of(server).answer(questions_of(5)))
        timer.join()


def test_tokens_and_cost_are_counted():
    with serving() as server:
        sampler = sampler_of(server)
        list(sampler.answer(questions_of(2)))
        usage = sampler.client.usage
    assert (usage.replies, usage.input_tokens, usage.output_tokens) == (4, 40, 2 * 3 * (N + 1))
    assert usage.summary() == "4 replies, 40 tokens read and 30 written"
    assert usage.summary(1000, 2000) == "4 replies, 40 tokens read and 30 written, cost 0.1000"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ApiSettings(concurrency=0), "concurrency: expected an integer of at least 1, got 0"),
        (lambda: ApiSettings(timeout=0), "timeout: expected seconds above 0, got 0"),
        (lambda: ApiSettings(input_price=-1), "input_price: expected a price of at least 0 or None, got -1"),
        (lambda: ApiSettings(extra_body={"n": 3}), "extra_body: .* got 'n', which has its own setting"),
        (lambda: ApiClient("localhost:8000", "m"), "api: expected a URL such as http://127.0.0.1:8000/v1, got"),
        (
            lambda: ApiClient("http://x/v1", "m", api_key_env="NOT_SET"),
            "environment variable NOT_SET, which is not set",
        ),
    ],
)
def test_bad_settings_are_refused_naming_them(make, message):
    with pytest.raises(SamplingError, match=message):
        make()


def test_a_url_with_a_password_is_refused_without_showing_it():
    with pytest.raises(SamplingError, match="expected a URL without user, password and query") as error:
        ApiClient("http://me:hunter2@host/v1", "m")
    assert "hunter2" not in str(error.value)


def test_plain_prompts_are_refused():
    with serving() as server, pytest.raises(SamplingError, match="style: expected 'auto' or 'chat', got 'plain'"):
        sampler_of(server, prompt=PromptSettings(style="plain"))
