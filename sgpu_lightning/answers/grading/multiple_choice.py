"""Multiple choice: which option an answer picks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sgpu_lightning.answers.grading.text_match import alias_match

_MARKUP = re.compile(r"[*_`${}]|\\boxed|\\text(?:bf)?")
# "The answer is (B)", "Answer: B", "option B", "B is correct": words in any case, a bare letter capital.
_SAID = re.compile(
    r"\b(?i:answer|option|choice|choose|pick|select)(?i:\s+(?:is|would\s+be|option|choice))*\s*[:=]?\s*"
    r"(?:\(?([A-Z])\b\)?|\(([a-z])\))(?![\w'])"
    r"|\b([A-Z])\)?\s+is\s+(?i:(?:the\s+)?(?:correct|right|best))\b"
)
# "B", "(b)", "B. Paris", "b) Paris", "B: Paris" at the start; a lone "A" before a word is the article.
_FIRST = re.compile(r"\A\s*(?:[(\[]([A-Za-z])[)\]]|([A-Za-z])(?=\)|[.:](?:\s|\Z)|\s*\Z))")
_LAST = re.compile(r"\b(?i:is|be|it's|say|think|with)\s+([A-Z])\W*\Z")  # "I would go with B."
_BRACKETED = re.compile(r"\(([A-Z])\)")


def chosen_option(answer: str) -> str | None:
    """The letter of the option an answer picks, upper case, or None where it names none.

    In this order: a letter said to be the answer ("The answer is (B)"; the last one said), a letter the answer
    begins with ("B.", "b) Paris", or nothing else), a letter it ends with ("I would say B."), the only letter in
    round brackets ("Paris (B)").
    """
    plain = _MARKUP.sub("", answer)
    if said := _SAID.findall(plain):
        return "".join(said[-1]).upper()
    if first := _FIRST.match(plain):
        return (first.group(1) or first.group(2)).upper()
    if last := _LAST.search(plain):
        return last.group(1)
    bracketed = set(_BRACKETED.findall(plain))
    return bracketed.pop() if len(bracketed) == 1 else None


def multiple_choice(answer: str, gold: Sequence[str]) -> bool:
    """Whether the answer picks the right option, by its letter or by its text.

    A letter decides where the answer picks one and the gold answers have one: "C) Paris" is wrong if B is Paris.
    Otherwise the option's text must stand in the answer as whole words.

    Args:
        answer: The answer.
        gold: The right option: its letter ("B", "(B)"), its text ("Paris"), both, or both in one ("B) Paris").
    """
    letters, texts = set(), []
    for option in gold:
        letter = _FIRST.match(option)
        if letter:
            letters.add((letter.group(1) or letter.group(2)).upper())
        text = option[letter.end() :].lstrip(" .):\t") if letter else option
        if text.strip():
            texts.append(text)
    picked = chosen_option(answer)
    if picked and letters:
        return picked in letters
    return bool(texts) and alias_match(answer, texts)
