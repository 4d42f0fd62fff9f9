from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpu_lightning.answers.normalisation import normalise
from sgpu_lightning.answers.scored_answer import majority_index, scored_answer
from tests.answers.helpers import record


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Paris", "paris"),
        ("  The   Eiffel\tTower\n", "eiffel tower"),
        ("A dog and an owl", "dog and owl"),
        ("Theory of another", "theory of another"),  # articles are whole words
        ("It was Paris.", "it was paris"),
        ("U.S.A.", "usa"),
        ("don't", "dont"),
        ("\uff30\uff21ris\uff01", "paris"),  # full-width forms
        ("\ufb01ve", "five"),  # a ligature
        ("Cafe\u0301", "café"),  # composed and decomposed accents are the same
        ("STRASSE", "strasse"),
        ("東京", "東京"),
        ("", ""),
        (" \n", ""),
    ],
)
def test_normalise(text, normal):
    assert normalise(text) == normal


@pytest.mark.parametrize(("text", "normal"), [("A", "a"), ("(A)", "a"), ("The", "the"), ("+", "+"), (" ?! ", "?!")])
def test_what_is_all_articles_or_punctuation_is_no_empty_answer(text, normal):
    assert normalise(text) == normal


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_normalise_leaves_single_spaces(text):
    normal = normalise(text)
    assert normal == " ".join(normal.split())
    assert bool(normal) == bool(text.strip())


@pytest.mark.parametrize(
    ("answers", "index"),
    [
        (["Rome", "Paris", "paris."], 1),
        (["The Paris", "Rome", "Paris"], 0),
        (["x", "y"], 0),
        (["red car", "blue sky", "blue sea"], 1),  # a tie: "blue sky" and "blue sea" overlap; the first of the two
        (["sea", "big blue sea", "blue sea"], 2),  # a tie: "blue sea" overlaps most with all
        (["x", "y", "y z", "y", "x"], 1),  # a tie of two: "y" is nearer to the rest
        (["", "x", ""], 0),
        (["?", "!", "!"], 1),
    ],
)
def test_majority_answer(answers, index):
    assert majority_index(answers) == index


@given(st.lists(st.sampled_from(["a b", "b c", "c", "d", "D.", ""]), min_size=1, max_size=6), st.randoms())
@settings(max_examples=100, deadline=None)
def test_majority_is_the_most_frequent_in_any_order(answers, random):
    def count(text):
        return sum(normalise(other) == normalise(text) for other in answers)

    random.shuffle(answers)
    chosen = answers[majority_index(answers)]
    assert count(chosen) == max(map(count, answers))
    assert answers.index(next(text for text in answers if normalise(text) == normalise(chosen))) == majority_index(
        answers
    )


@pytest.mark.parametrize(
    ("greedy", "expected"), [("Rome", "Rome"), ("", ""), (None, "Paris")], ids=["greedy", "even if empty", "majority"]
)
def test_scored_answer_is_greedy_else_majority(greedy, expected):
    assert scored_answer(record(answers=["Lyon", "Paris", "paris"], greedy=greedy)) == expected
