from __future__ import annotations

import pytest

from sgpu_lightning.answers import grading
from sgpu_lightning.answers.discovery import import_submodules
from sgpu_lightning.answers.grading import (
    GRADERS,
    Verdict,
    alias_match,
    exact_match,
    get_grader,
    grade_records,
    grader_names,
    label_of,
    register_grader,
    registry,
)
from tests.answers.helpers import record


@pytest.mark.parametrize(
    ("answer", "gold", "exact", "alias"),
    [
        ("Paris", ["Paris"], True, True),
        ("the paris!", ["Paris"], True, True),
        ("Paris", ["Rome", "Paris"], True, True),
        ("Lyon", ["Paris", "Rome"], False, False),
        ("It was Paris.", ["Paris"], False, True),
        ("New", ["New York"], False, False),  # an answer contained in a gold answer does not count
        ("New York City", ["New York"], False, True),
        ("Parisian", ["Paris"], False, False),  # whole words only
        ("York, New", ["New York"], False, False),
        ("\uff11\uff12", ["12"], True, True),  # full-width digits
        ("", ["Paris"], False, False),
        ("Paris", [""], False, False),  # an empty alias is in every text
        ("Paris", ["", "Rome"], False, False),
        ("", [""], True, True),
        ("Paris", [], False, False),
        ("A", ["A"], True, True),
        ("", ["A"], False, False),  # option A is not an empty answer
        ("The", ["A"], False, False),
        ("-", ["+"], False, False),
        ("Paris", ["?"], False, False),
    ],
)
def test_graders(answer, gold, exact, alias):
    assert exact_match(answer, gold) is exact
    assert alias_match(answer, gold) is alias


def test_graders_are_listed_in_the_order_of_the_documentation():
    assert list(GRADERS) == [
        "exact", "alias", "squad_f1", "rouge_l", "vqa", "multiple_choice", "number", "class_name",
    ]  # fmt: skip


def test_a_new_file_among_the_graders_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "GRADERS", dict(GRADERS))
    monkeypatch.setattr(registry, "_POSITIONS", dict(registry._POSITIONS))
    monkeypatch.setattr(grading, "__path__", [*grading.__path__, str(tmp_path)])
    (tmp_path / "palindromes_of_a_test.py").write_text(
        "from sgpu_lightning.answers.grading.registry import add_grader\n"
        "add_grader('palindrome', lambda answer, gold: answer == answer[::-1])\n"
    )
    import_submodules("sgpu_lightning.answers.grading")
    assert list(registry.GRADERS) == [*GRADERS, "palindrome"]
    assert get_grader("palindrome")("anna", []) is True


def test_a_built_in_name_is_taken_once():
    with pytest.raises(ValueError, match="grader name 'vqa' is taken: built-in graders are exact, alias"):
        registry.add_grader("vqa", exact_match)


@pytest.mark.parametrize("name", GRADERS)
def test_grader_by_name(name):
    assert get_grader(name) is GRADERS[name]


def test_a_threshold_can_be_chosen():
    assert get_grader("squad_f1", {"threshold": 0.9})("the cat sat", ["cat"]) is False
    assert get_grader("squad_f1", {"threshold": 0.6})("the cat sat", ["cat"]) is True


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("squad_f1", {"threshold": 0}, "threshold: expected above 0 and at most 1, got 0"),
        ("squad_f1", {"threshold": "high"}, "threshold: expected a number, got 'high'"),
        ("squad_f1", {"treshold": 0.5}, "grader 'squad_f1': expected threshold, got treshold"),
        ("alias", {"threshold": 0.5}, "grader 'alias': expected no options, got threshold"),
    ],
)
def test_bad_options_are_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        get_grader(name, options)


class Lenient:
    """A grader that reads whole records, like an LLM judge."""

    def __init__(self, word="judge", model=None):
        self.word = word

    def grade(self, records):
        return [Verdict(self.word in one.question, "it is there") for one in records]


@pytest.fixture
def judge(monkeypatch):
    monkeypatch.setattr(registry, "_MAKERS", {})
    return register_grader("lenient")(Lenient)


def test_a_grader_of_one_s_own_is_made_with_its_options(judge):
    assert grader_names()[-1] == "lenient"
    grader = get_grader("lenient", {"word": "Who"})
    sets = [record("a", question="Who?"), record("b", question="Where?")]
    assert [one.correct for one in grade_records(sets, grader)] == [True, False]
    assert [label_of(one, grader) for one in sets] == [1, 0]


def test_a_grader_of_one_s_own_names_bad_options_and_taken_names(judge):
    with pytest.raises(ValueError, match=r"grader 'lenient' takes \(word='judge', model=None\), got .*'wrd'"):
        get_grader("lenient", {"wrd": "Who"})
    for name in ("lenient", "alias"):
        with pytest.raises(ValueError, match=f"grader name '{name}' is taken: known graders are exact, alias"):
            register_grader(name)


def test_records_without_gold_get_no_verdict():
    (verdict,) = grade_records([record(label=1)], exact_match)
    assert (verdict.correct, verdict.reason) == (None, "no gold answers")


def test_unknown_grader_lists_the_known():
    with pytest.raises(ValueError, match="unknown grader 'rouge', expected one of exact, alias"):
        get_grader("rouge")


@pytest.mark.parametrize(
    ("keys", "label"),
    [
        ({"label": 0, "gold": ("Paris",)}, 0),  # the record's own label comes first
        ({"label": 1, "gold": ("Rome",)}, 1),
        ({"gold": ("Paris",)}, 1),
        ({"gold": ("Lyon",)}, 0),
        ({"gold": ("Lyon",), "greedy": "Lyon"}, 1),  # greedy before majority
        ({"gold": ()}, None),
        ({}, None),
    ],
)
def test_label_is_the_record_s_own_else_the_grade_of_the_scored_answer(keys, label):
    assert label_of(record(answers=["Paris", "Paris", "Lyon"], **keys), exact_match) == label
