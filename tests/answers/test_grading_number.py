from __future__ import annotations

from fractions import Fraction

import pytest

from sgpu_lightning.answers.grading import number
from sgpu_lightning.answers.grading.number import final_number


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("5", "5", True),
        ("-5", "5", False),
        ("\u22125", "-5", True),  # the typographic minus
        ("3.5", "35", False),
        ("35", "3.5", False),
        ("1,000", "1000", True),
        ("1{,}000", "1000", True),
        ("1,234,567.5", "1234567.5", True),
        ("42.0", "42", True),
        ("42.", "42", True),
        (r"\boxed{42}", "42", True),
        (r"so 7 is wrong, $\boxed{42}$ with 3 steps", "42", True),
        ("3/4", "0.75", True),
        (r"\boxed{\frac{3}{4}}", "0.75", True),
        (r"-\dfrac{1}{2}", "-0.5", True),
        ("1 1/2", "1.5", True),
        ("50%", "50", True),
        ("50%", "0.5", True),
        ("0.5", "50 percent", True),
        ("5%", "0.5", False),
        ("$1,234.50", "1234.5", True),
        ("-$5", "-5", True),
        ("5 km", "5", True),
        ("1.5 \u00d7 10^3", "1500", True),
        ("2e-3", "0.002", True),
        ("The answer is 42, since 6 * 7 = 42 and 5 is not.", "42", True),
        ("6 * 7 = 42", "42", True),
        ("12 - 3 = 9", "9", True),
        ("10-3", "3", True),  # a dash
        ("- 5", "5", True),  # a bullet
        ("#### 12", "12", True),
        ("Five apples", "5", True),
        ("one of 3", "3", True),  # words count only without digits
        ("0.3333333333", "1/3", True),
        ("0.333", "1/3", False),
        ("no idea", "5", False),
        ("", "5", False),
        ("5/0", "5", False),
        ("Paris", "paris!", True),  # gold without a number
        ("Paris 5", "Paris", False),
        ("0", "-0.0", True),
        ("1e999", "1", False),
        ("9" * 5000, "9", False),
    ],
)
def test_number(answer, gold, right):
    assert number(answer, [gold]) is right


def test_any_gold_number_will_do():
    assert number("7", ["6", "7"])
    assert not number("7", [])


def test_a_decimal_is_read_exactly():
    assert final_number("0.1") == (Fraction(1, 10), False)
    assert final_number("10%") == (Fraction(10), True)
    assert final_number("none at all") is None
