"""When a request is asked again, and which errors end the run."""

from __future__ import annotations

import asyncio

import pytest

from sgpu_lightning.sampling.server import retry
from sgpu_lightning.sampling.server.reply import Reply, ServerAnswer
from sgpu_lightning.sampling.server.retry import (
    Attempt,
    RequestFailedError,
    ask_until_usable,
    concerns_every_request,
    what_to_check,
)
from sgpu_lightning.sampling.server.server_error import ServerError


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    waited = []

    async def note(seconds):
        waited.append(seconds)

    monkeypatch.setattr(retry.asyncio, "sleep", note)
    monkeypatch.setattr(retry.random, "random", lambda: 0.0)
    return waited


def reply_of(*texts):
    return Attempt(Reply(tuple(ServerAnswer(text, cut=False) for text in texts), "m"), "", repetitions=0)


UNUSABLE = Attempt(None, "the reply has no choices", repetitions=0)


def ask(attempts, max_retries=3):
    remaining, given = iter(attempts), []

    async def send(retries):
        given.append(retries)
        return next(remaining)

    return asyncio.run(ask_until_usable(send, max_retries)), given


def test_a_usable_reply_is_returned_at_once(waits):
    reply, given = ask([reply_of("a", "b")])
    assert [answer.text for answer in reply.answers] == ["a", "b"]
    assert (given, waits) == ([3], [])


def test_empty_answers_beside_others_are_left_out():
    reply, _ = ask([reply_of("", "b")])
    assert [answer.text for answer in reply.answers] == ["b"]


def test_repetitions_of_the_openai_client_count_too_and_waits_double(waits):
    slow = Attempt(None, "the reply has no choices", repetitions=1)
    _, given = ask([UNUSABLE, slow, reply_of("a")])
    assert given == [3, 2, 0]
    assert waits == [0.5, 2.0]


def test_waits_are_bounded(waits):
    ask([UNUSABLE] * 7 + [reply_of("a")], max_retries=7)
    assert waits == [0.5, 1, 2, 4, 8, 8, 8]


def test_an_answer_that_is_always_empty_is_the_models():
    reply, given = ask([reply_of("")] * 4)
    assert [answer.text for answer in reply.answers] == [""]
    assert given == [3, 2, 1, 0]


def test_a_request_without_an_answer_fails_with_the_last_problem():
    with pytest.raises(RequestFailedError, match="the reply has no choices; asked 4 times"):
        ask([reply_of(""), UNUSABLE, UNUSABLE, UNUSABLE])


@pytest.mark.parametrize(
    ("error", "every"),
    [
        (ServerError(0, "could not connect: refused", unreachable=True), True),
        (ServerError(0, "time-out", unreachable=False), False),
        (ServerError(401, "wrong key", unreachable=False), True),
        (ServerError(404, "no such model", unreachable=False), True),
        (ServerError(400, "unknown argument: top_k", unreachable=False), True),
        (ServerError(400, "unknown argument: my_top_k", unreachable=False), False),
        (ServerError(422, "content policy", unreachable=False), False),
        (ServerError(500, "top_k broke", unreachable=False), False),
    ],
)
def test_errors_that_every_request_would_get_are_told_from_those_of_one_question(error, every):
    assert concerns_every_request(error, ["m", "top_k"]) == every


def test_messages_say_what_to_check():
    error = ServerError(403, "forbidden", unreachable=False)
    assert str(error) == "HTTP 403: forbidden"
    expected = "; check the key in the environment variable MY_KEY, and whether it may use the model"
    assert what_to_check(error, "MY_KEY") == expected
    assert what_to_check(ServerError(500, "oops", unreachable=False), "MY_KEY") == ""
