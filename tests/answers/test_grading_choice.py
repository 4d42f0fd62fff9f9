from __future__ import annotations

import pytest

from sgpu_lightning.answers.grading import multiple_choice
from sgpu_lightning.answers.grading.multiple_choice import chosen_option


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(b)", "B"),
        ("B.", "B"),
        ("B. Paris", "B"),
        ("b) Paris", "B"),
        ("[B] Paris", "B"),
        ("B: Paris", "B"),
        ("**B**", "B"),
        ("The answer is (B)", "B"),
        ("The answer is B, because A is wrong.", "B"),
        ("Answer: **B**", "B"),
        ("The correct answer is option C.", "C"),
        (r"The answer is \boxed{C}.", "C"),
        (r"$\text{D}$", "D"),
        ("Option A is wrong, so the answer is D.", "D"),  # the last declared letter
        ("B is correct", "B"),
        ("I would say B.", "B"),
        ("Paris (B)", "B"),
        ("Either (A) or (B)", None),
        ("A dog", None),  # the article
        ("The answer is a dog", None),
        ("Paris", None),
        ("Vitamin C", None),
        ("U.S.A.", None),
        ("I don't know", None),
        ("", None),
    ],
)
def test_the_letter_that_an_answer_picks(answer, letter):
    assert chosen_option(answer) == letter


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("The answer is (B)", ["B"], True),
        ("B.", ["(B)"], True),
        ("b) Paris", ["B"], True),
        ("A", ["B"], False),
        ("Paris", ["B", "Paris"], True),
        ("It is Paris.", ["B) Paris"], True),
        ("C) Paris", ["B", "Paris"], False),  # the letter decides
        ("Paris", ["B"], False),  # the text of option B is unknown
        ("B", ["Paris"], False),
        ("Lyon", ["B", "Paris"], False),
        ("A dog", ["A"], False),
        ("a", ["A"], True),
        ("The U.S.A.", ["U.S.A."], True),
        ("", ["B"], False),
        ("B", [], False),
    ],
)
def test_multiple_choice(answer, gold, right):
    assert multiple_choice(answer, gold) is right
