"""What a server's dialect makes of a request, and how it is found out."""

from __future__ import annotations

import pytest

from sgpu_lightning.sampling.server.dialect import (
    FALLBACKS,
    NO_LOGPROBS,
    ONE_ANSWER,
    RENAMED_LIMIT,
    Dialect,
    DialectTracker,
)
from sgpu_lightning.sampling.server.server_settings import ApiSettings

BODY = {"model": "m", "temperature": 1.0, "max_tokens": 8, "n": 4}
FULL = BODY | {"logprobs": True}


def dialect_of(*taken):
    return Dialect(frozenset(taken))


@pytest.mark.parametrize(
    ("dialect", "request_body"),
    [
        (dialect_of(), FULL),
        (dialect_of(NO_LOGPROBS), BODY),
        (dialect_of(ONE_ANSWER), {key: value for key, value in FULL.items() if key != "n"}),
        (
            dialect_of(RENAMED_LIMIT),
            {"model": "m", "temperature": 1.0, "max_completion_tokens": 8, "n": 4, "logprobs": True},
        ),
        (dialect_of(*FALLBACKS), {"model": "m", "temperature": 1.0, "max_completion_tokens": 8}),
    ],
)
def test_requests_are_rewritten(dialect, request_body):
    assert dialect.to_request(BODY) == request_body


def test_a_single_answer_is_asked_for_without_n():
    assert "n" not in Dialect().to_request(BODY | {"n": 1})


@pytest.mark.parametrize(
    ("sent", "complaint", "taken"),
    [
        (FULL, "use 'max_completion_tokens' instead", {RENAMED_LIMIT}),
        (FULL, "LogProbs are not supported", {NO_LOGPROBS}),
        (FULL, "bad request", {ONE_ANSWER}),
        ({"logprobs": True, "max_tokens": 8}, "bad request", {NO_LOGPROBS}),
    ],
)
def test_the_fallback_fits_the_complaint(sent, complaint, taken):
    assert Dialect().fallback(sent, complaint) == Dialect(frozenset(taken))


def test_without_a_feature_to_give_up_there_is_no_fallback():
    assert Dialect().fallback({"max_tokens": 8}, "bad request") is None


def test_merging_keeps_the_fallbacks_of_both():
    assert dialect_of(NO_LOGPROBS).merge(dialect_of(ONE_ANSWER)) == dialect_of(NO_LOGPROBS, ONE_ANSWER)


def test_the_settings_give_the_dialect_to_start_with():
    assert Dialect.from_settings(ApiSettings()) == Dialect()
    assert Dialect.from_settings(ApiSettings(one_each=True, logprobs=False)) == dialect_of(ONE_ANSWER, NO_LOGPROBS)


def test_two_replies_with_one_answer_show_that_n_is_ignored():
    tracker = DialectTracker(ApiSettings())
    tracker.note_answers(asked=4, received=1)
    assert tracker.current.several
    tracker.note_answers(asked=4, received=1)
    assert not tracker.current.several
    assert tracker.current.split(3) == [1, 1, 1]


def test_a_server_that_has_given_several_answers_does_not_ignore_n():
    tracker = DialectTracker(ApiSettings())
    for received in (3, 1, 1, 1):
        tracker.note_answers(asked=4, received=received)
    assert tracker.current.split(3) == [3]
