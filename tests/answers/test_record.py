from __future__ import annotations

import json
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpu_lightning.answers.record import KEYS, AnswerSet, RecordError, parse_record
from tests.answers.helpers import json_values, record, records, row

BAD = {
    "a list": (["Paris"], r"expected a JSON object, got list \['Paris'\]"),
    "a number": (3, "expected a JSON object, got int 3"),
    "null": (None, "expected a JSON object, got NoneType None"),
    "no id": (row(id=...), "key 'id' is missing: expected a string"),
    "null id": (row(id=None), "key 'id' is missing: expected a string"),
    "empty id": (row(id=""), "key 'id': expected a non-empty string, got ''"),
    "numeric id": (row(id=7), "key 'id': expected a string, got int 7"),
    "no answers": (row(answers=...), "key 'answers' is missing: expected a list of at least 2 strings"),
    "null answers": (row(answers=None), "key 'answers' is missing"),
    "empty answers": (row(answers=[]), "key 'answers': expected at least 2 answers, got 0"),
    "one answer": (row(answers=["x"]), "key 'answers': expected at least 2 answers, got 1; disagreement needs"),
    "text as answers": (row(answers="Paris"), "key 'answers': expected a list of strings, got str 'Paris'"),
    "a number among answers": (row(answers=["x", 4]), r"key 'answers\[1\]': expected a string, got int 4"),
    "null among answers": (row(answers=[None, "x"]), r"key 'answers\[0\]': expected a string, got NoneType None"),
    "half a character": (row(answers=["\ud83d", "x"]), r"key 'answers\[0\]': expected Unicode text, got a lone surr"),
    "numeric question": (row(question=1), "key 'question': expected a string, got int 1"),
    "list as greedy": (row(greedy=["x"]), r"key 'greedy': expected a string, got list \['x'\]"),
    "numeric group": (row(group=1), "key 'group': expected a string, got int 1"),
    "text label": (row(label="1"), "key 'label': expected 0, 1 or null, got str '1'"),
    "label 2": (row(label=2), "key 'label': expected 0, 1 or null, got int 2"),
    "half a label": (row(label=0.5), "key 'label': expected 0, 1 or null, got float 0.5"),
    "NaN label": (row(label=math.nan), "key 'label': expected 0, 1 or null, got float nan"),
    "list as label": (row(label=[1]), r"key 'label': expected 0, 1 or null, got list \[1\]"),
    "text as gold": (row(gold="Paris"), "key 'gold': expected a list of strings, got str 'Paris'"),
    "a number among gold": (row(gold=["x", 2]), r"key 'gold\[1\]': expected a string, got int 2"),
    "too few logprobs": (row(logprobs=[-1]), r"key 'logprobs': expected 2 numbers, one for each answer, got list \[-1"),
    "too many logprobs": (row(logprobs=[-1, -2, -3]), "key 'logprobs': expected 2 numbers"),
    "a number as logprobs": (row(logprobs=-1.5), "key 'logprobs': expected 2 numbers, .* got float -1.5"),
    "NaN logprob": (row(logprobs=[-1, math.nan]), r"key 'logprobs\[1\]': expected a finite number, got float nan"),
    "infinite logprob": (row(logprobs=[-math.inf, 0]), r"key 'logprobs\[0\]': expected a finite number, got float -in"),
    "logprob beyond floats": (row(logprobs=[-(10**400), 0]), r"key 'logprobs\[0\]': expected a finite number, got int"),
    "boolean logprob": (row(logprobs=[True, 0]), r"key 'logprobs\[0\]': expected a finite number, got bool True"),
    "text logprob": (row(logprobs=["-1", 0]), r"key 'logprobs\[0\]': expected a finite number, got str '-1'"),
    "bad modality": (row(modality="audio"), "key 'modality': expected 'text' or 'image', got str 'audio'"),
    "list as meta": (row(meta=[1]), r"key 'meta': expected an object, got list \[1\]"),
    "unknown key that meta has": (row(meta={"k": 1}, k=2), "key 'k': expected one value, got int 2 and, in 'meta', i"),
}


@pytest.mark.parametrize(("bad", "message"), BAD.values(), ids=BAD)
def test_bad_record_names_place_key_expected_and_got(bad, message):
    with pytest.raises(RecordError, match=rf"^here:3: {message}"):
        parse_record(bad, "here:3")


def test_long_values_are_cut_in_messages():
    with pytest.raises(RecordError, match=r"got str 'x{56}\.\.\.$"):
        parse_record(row(label="x" * 1000))
    with pytest.raises(RecordError, match="got int too long to show"):
        parse_record(row(label=10**5000))


def test_smallest_record_has_defaults():
    assert parse_record(row()) == AnswerSet(id="q1", answers=("Paris", "Lyon"))


@pytest.mark.parametrize("key", [key for key in KEYS if key not in ("id", "answers")])
def test_null_is_the_default(key):
    assert parse_record(row(**{key: None})) == parse_record(row())


@pytest.mark.parametrize(("given", "label"), [(1, 1), (0, 0), (True, 1), (False, 0), (1.0, 1), (0.0, 0), (None, None)])
def test_label_may_be_spelt_as_a_boolean_or_a_whole_float(given, label):
    parsed = parse_record(row(label=given)).label
    assert parsed == label
    assert type(parsed) is type(label)


def test_unknown_keys_are_kept_in_meta():
    parsed = parse_record(row(meta={"split": "dev", "same": [1]}, difficulty=3, tags=None, same=[1]))
    assert parsed.meta == {"split": "dev", "same": [1], "difficulty": 3, "tags": None}


def test_numbers_become_floats_in_logprobs():
    assert parse_record(row(logprobs=[-1, -2.5])).logprobs == (-1.0, -2.5)


@pytest.mark.parametrize(
    ("keys", "group"),
    [
        ({"group": "g", "question": "Where?"}, "g"),
        ({"question": "Where?"}, "Where?"),
        ({"group": "", "question": "Where?"}, "Where?"),
        ({}, "q1"),
    ],
    ids=["group", "else question", "even if empty", "else id"],
)
def test_group_key_is(keys, group):
    assert record(**keys).group_key == group


@given(records())
@settings(max_examples=200, deadline=None)
def test_any_record_survives_its_dictionary_and_json(one):
    assert parse_record(one.to_dict()) == one
    assert parse_record(json.loads(json.dumps(one.to_dict()))) == one


def test_deep_meta_survives_its_dictionary():
    deep = json.loads("[" * 500 + "]" * 500)
    assert parse_record(parse_record(row(deep=deep)).to_dict()).meta == {"deep": deep}


# Almost valid rows reach more of the checks than arbitrary ones.
texts = st.text() | st.text(st.characters(categories=["Cs", "Ll"]), max_size=3)  # the second with surrogates
anything = json_values | st.floats() | st.lists(texts, max_size=3) | texts
nearly_right = st.fixed_dictionaries(
    {"id": st.text(min_size=1) | anything, "answers": st.lists(texts, min_size=2, max_size=3) | anything},
    optional={key: anything for key in KEYS if key not in ("id", "answers")},
)


@given(anything | nearly_right)
@settings(max_examples=500, deadline=None)
def test_any_json_value_is_a_record_or_a_record_error(value):
    try:
        parsed = parse_record(value, "here")
    except RecordError as error:
        assert re.match("here: (key '|expected a JSON object)", str(error))  # noqa: PT017 - there may be none
    else:
        assert parsed.id
        assert len(parsed.answers) >= 2
        assert parsed.label in (0, 1, None)
        assert parse_record(parsed.to_dict()) == parsed
