r"""Grader of numbers: whether an answer's final number equals the gold number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from sgpu_lightning.answers.grading.registry import add_grader
from sgpu_lightning.answers.grading.text_match import exact_match

_TOLERANCE = Fraction(1, 10**6)
_FRACTION = re.compile(r"(\d)?\\[dt]?frac\s*\{\s*(-?[\d.,]+)\s*\}\s*\{\s*([\d.,]+)\s*\}")
_BOXED = re.compile(r"\\boxed\s*\{")
_ANSWER = re.compile(r"(?:answer|result)(?:\s+is|\s*[:=])|####", re.IGNORECASE)
_COMMA = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_DIGITS = r"\d+(?:\.\d+)?|\.\d+"
_POWER = r"\s*(?:\*|\u00d7|x|\\times|\\cdot)\s*10\s*(?:\^|\*\*)\s*\{?(?P<power>[-+]?\d{1,3})\}?"
_NUMBER = re.compile(
    rf"""
    (?<![\w.])(?P<sign>[-+])?[$€£]?(?P<after>-)?  # "-" after a word or number is a dash, before a space a bullet
    (?:(?P<whole>\d+)\s+(?=\d+\s*/\s*\d))?        # 1 1/2
    (?P<top>{_DIGITS})
    (?:\s*/\s*(?P<bottom>{_DIGITS}))?
    (?:[eE](?P<exponent>[-+]?\d{{1,3}})(?![\w.])|{_POWER})?
    (?P<percent>\s?\\?%|\s+per\s?cent)?
    """,
    re.VERBOSE,
)
_COUNTING = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty
"""
_WORDS = {word: Fraction(i) for i, word in enumerate(_COUNTING.split())}


def final_number(text: str) -> tuple[Fraction, bool] | None:
    r"""The final number of a text and whether it is a percentage; None if the text has no number.

    The final number is the one in the last ``\boxed{}``; else the first one after the last "answer is", "answer:" or
    "####"; else the last one. Commas separate thousands, a point marks decimals. Fractions ("3/4", "1 1/2",
    ``\frac{3}{4}``) and powers of ten are read, and in a text without digits number words up to twenty.
    """
    plain = _plain(text)
    boxed = list(_BOXED.finditer(plain))
    if boxed and (found := _numbers(plain[boxed[-1].end() :].partition("}")[0])):
        return found[-1]
    declared = list(_ANSWER.finditer(plain))
    if declared and (found := _numbers(plain[declared[-1].end() :])):
        return found[0]
    return found[-1] if (found := _numbers(plain)) else None


def number(answer: str, gold: Sequence[str]) -> bool:
    r"""Whether the answer's final number equals one of the gold numbers.

    Numbers are equal within a relative tolerance of one millionth: "42.0", "$42" and ``\boxed{42}`` equal "42",
    "1,000" equals "1000", "3/4" equals "0.75", "-5" does not equal "5". A percentage equals its number and its
    hundredth: "50%" equals "50" and "0.5". Units are ignored. A gold answer without a number must equal the answer
    after normalisation.

    Args:
        answer: The answer.
        gold: The gold answers.
    """
    got = final_number(answer)
    for text in gold:
        wanted = final_number(text)
        if exact_match(answer, [text]) if wanted is None else got is not None and _equal(got, wanted):
            return True
    return False


add_grader("number", number, position=7)


def _plain(text: str) -> str:
    text = text.replace("\u2212", "-").replace("\u2013", "-").replace("{,}", ",").replace("\\,", "").replace("\\!", "")
    text = text.replace("\\left", "").replace("\\right", "").replace("\\$", "$")
    return _COMMA.sub("", _FRACTION.sub(_slash, text)).replace("**", "")


def _slash(match: re.Match[str]) -> str:
    return f"{match[1]} {match[2]}/{match[3]}" if match[1] else f"{match[2]}/{match[3]}"


def _numbers(text: str) -> list[tuple[Fraction, bool]]:
    found = [(_value(match), match["percent"] is not None) for match in _NUMBER.finditer(text)]
    known = [(value, percent) for value, percent in found if value is not None]
    if known or any(letter.isdigit() for letter in text):
        return known
    return [(_WORDS[word], False) for word in re.findall(r"[a-z]+", text.lower()) if word in _WORDS]


def _value(match: re.Match[str]) -> Fraction | None:
    try:
        value = Fraction(match["whole"] or 0) + Fraction(match["top"]) / Fraction(match["bottom"] or 1)
    except (
        ZeroDivisionError,
        ValueError,
    ):  # or too many digits to convert: a model that did not stop
        return None
    value *= Fraction(10) ** int(match["exponent"] or match["power"] or 0)
    return -value if "-" in (match["sign"], match["after"]) else value


def _equal(got: tuple[Fraction, bool], wanted: tuple[Fraction, bool]) -> bool:
    return any(_close(one, other) for one in _readings(*got) for other in _readings(*wanted))


def _readings(value: Fraction, percent: bool) -> list[Fraction]:
    return [value, value / 100] if percent else [value]


def _close(one: Fraction, other: Fraction) -> bool:
    return abs(one - other) <= _TOLERANCE * max(abs(one), abs(other))
