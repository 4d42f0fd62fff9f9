"""Grader of class names: whether an answer names the right class by any of its synonyms."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from sgpu_lightning.answers.grading.grader import NO_GOLD, Verdict
from sgpu_lightning.answers.grading.registry import add_grader
from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.scored_answer import scored_answer

RIVALS = "rivals"  # key in a record's meta
_WORD = re.compile(r"[^\W_]+")
_IRREGULAR = {
    "children": "child", "feet": "foot", "geese": "goose", "leaves": "leaf", "men": "man", "mice": "mouse",
    "oxen": "ox", "people": "person", "shelves": "shelf", "teeth": "tooth", "wolves": "wolf", "women": "woman",
}  # fmt: skip


def names_class(answer: str, gold: Sequence[str], rivals: Sequence[str] = ()) -> bool:
    """Whether the answer names the class, that is, contains one of its names as whole words.

    Case, plurals, spaces, hyphens and underscores make no difference ("lawn-mowers", "lawnmower", "lawn_mower"). The
    longest name wins: with the rival "sea lion", an answer names "lion" only if "lion" occurs outside "sea lion".

    Args:
        answer: The answer.
        gold: Names of the class.
        rivals: Names of other classes that contain a name of this class.
    """
    words = _words(answer)
    rival_spans = [span for name in rivals for span in _spans(words, name)]
    return any(
        not any(first <= start and end <= last and end - start < last - first for first, last in rival_spans)
        for name in gold
        for start, end in _spans(words, name)
    )


def rivals_of(gold: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """Names of other classes that contain a gold name and more words: the ``rivals`` of `names_class`.

    A name that is also a gold name is no rival, because nothing distinguishes the two classes.

    Args:
        gold: Names of the class.
        others: Names of all other classes.
    """
    own = {_parts(name)[0] for name in gold}
    parts = {name: _parts(name) for name in others}
    return tuple(name for name, (whole, inside) in parts.items() if whole not in own and own & inside)


@lru_cache(maxsize=8192)  # for each of a thousand classes, the names of all others are examined
def _parts(name: str) -> tuple[str, frozenset[str]]:
    """A name in normal form, and every run of whole words that it contains, in normal form."""
    words = _words(name)
    inside = {_joined(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1)}
    return _joined(words), frozenset(inside)


class ClassNameGrader:
    """Grades by `names_class`, with the rivals that a record holds under ``meta["rivals"]``."""

    def __call__(self, answer: str, gold: Sequence[str]) -> bool:
        """Whether the answer names the class, without known rivals."""
        return names_class(answer, gold)

    def grade(self, records: Sequence[AnswerSet]) -> list[Verdict]:
        """Verdicts in the order of the records."""
        return [self._grade(record) for record in records]

    def _grade(self, record: AnswerSet) -> Verdict:
        if not record.gold:
            return NO_GOLD
        rivals = record.meta.get(RIVALS) or ()
        known = [name for name in rivals if isinstance(name, str)] if isinstance(rivals, list | tuple) else []
        return Verdict(names_class(scored_answer(record), record.gold, known))


class_name = ClassNameGrader()
add_grader("class_name", class_name, position=8)


def _words(text: str) -> list[str]:
    return [_singular(word) for word in _WORD.findall(unicodedata.normalize("NFKC", text).lower())]


def _singular(word: str) -> str:
    """A word without its plural ending: an approximation, applied to answers and names alike."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) <= 3 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-2] if word.endswith(("ses", "xes", "zes", "ches", "shes")) else word[:-1]


def _joined(words: Sequence[str]) -> str:
    return "".join(words)


def _spans(words: Sequence[str], name: str) -> list[tuple[int, int]]:
    """Spans of words that, joined, equal the name: index of the first word, and index after the last word."""
    target = _joined(_words(name))
    spans = []
    for start in range(len(words) if target else 0):
        text = ""
        for end in range(start, len(words)):
            text += words[end]
            if text == target:
                spans.append((start, end + 1))
            if not target.startswith(text):
                break
    return spans
