"""Grader of multiple-choice answers: which option an answer picks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sgpu_lightning.answers.grading.registry import add_grader
from sgpu_lightning.answers.grading.text_match import alias_match

_MARKUP = re.compile(r"[*_`${}]|\\boxed|\\text(?:bf)?")
# "The answer is (B)", "Answer: B", "option B", "B is correct": words in any case, an unbracketed letter in capitals.
_DECLARED = re.compile(
    r"\b(?i:answer|option|choice|choose|pick|select)(?i:\s+(?:is|would\s+be|option|choice))*\s*[:=]?\s*"
    r"(?:\(?([A-Z])\b\)?|\(([a-z])\))(?![\w'])"
    r"|\b([A-Z])\)?\s+is\s+(?i:(?:the\s+)?(?:correct|right|best))\b"
)
# "B", "(b)", "B. Paris", "b) Paris", "B: Paris" at the start; a lone "A" before a word is the article.
_AT_START = re.compile(r"\A\s*(?:[(\[]([A-Za-z])[)\]]|([A-Za-z])(?=\)|[.:](?:\s|\Z)|\s*\Z))")
_AT_END = re.compile(r"\b(?i:is|be|it's|say|think|with)\s+([A-Z])\W*\Z")  # "I would go with B."
_BRACKETED = re.compile(r"\(([A-Z])\)")


def chosen_option(answer: str) -> str | None:
    """The letter of the option that an answer picks, in upper case, or None if it names none.

    The first rule that applies decides: the last letter that is declared to be the answer ("The answer is (B)"); a
    letter at the start ("B.", "b) Paris", or the letter alone); a letter at the end ("I would say B."); the only letter
    in round brackets ("Paris (B)").
    """
    plain = _MARKUP.sub("", answer)
    if declared := _DECLARED.findall(plain):
        return "".join(declared[-1]).upper()
    if at_start := _AT_START.match(plain):
        return (at_start.group(1) or at_start.group(2)).upper()
    if at_end := _AT_END.search(plain):
        return at_end.group(1)
    bracketed = set(_BRACKETED.findall(plain))
    return bracketed.pop() if len(bracketed) == 1 else None


def multiple_choice(answer: str, gold: Sequence[str]) -> bool:
    """Whether the answer picks the right option, by its letter or by its text.

    If the answer picks a letter and the gold answers have one, the letter decides: "C) Paris" is wrong if B is Paris.
    Otherwise the answer must contain the option's text as whole words.

    Args:
        answer: The answer.
        gold: The right option: its letter ("B", "(B)"), its text ("Paris"), both, or both in one ("B) Paris").
    """
    letters, texts = set(), []
    for option in gold:
        letter = _AT_START.match(option)
        if letter:
            letters.add((letter.group(1) or letter.group(2)).upper())
        text = option[letter.end() :].lstrip(" .):\t") if letter else option
        if text.strip():
            texts.append(text)
    picked = chosen_option(answer)
    if picked and letters:
        return picked in letters
    return bool(texts) and alias_match(answer, texts)


add_grader("multiple_choice", multiple_choice, position=6)
