"""VQA accuracy: the soft rule of the VQA challenges over several annotators."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations
from statistics import fmean

VQA_THRESHOLD = 0.5
_AGREEING = 3  # annotators that make an answer fully right

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_ARTICLES = frozenset(("a", "an", "the"))
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {"none": "0"} | {word: str(i) for i, word in enumerate(_DIGITS)}
_CONTRACTIONS = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't
    not've o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll
    somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd
    there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll
    what're what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's
    won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""


def _spellings(word: str) -> list[str]:
    """The word without some or all of its apostrophes."""
    places = [i for i, letter in enumerate(word) if letter == "'"]
    left_out = [set(some) for count in range(1, len(places) + 1) for some in combinations(places, count)]
    return ["".join(letter for i, letter in enumerate(word) if i not in some) for some in left_out]


_SPELT = {spelling: word for word in _CONTRACTIONS.split() for spelling in _spellings(word)}


def normalise_vqa(text: str) -> str:
    """The official evaluation's normal form of an answer.

    Lower case; punctuation goes, or becomes a space between two words ("black-white"), but not before digits
    ("3.5"); articles go; number words to ten become digits; contractions get their apostrophes back. As the
    official evaluation does, it looks at the whole answer when it decides about a mark: next to a space anywhere, or
    with a comma between digits anywhere, the mark goes.
    """
    text = " ".join(text.split())
    plain = text
    for mark in _PUNCTUATION:
        goes = f"{mark} " in text or f" {mark}" in text or _DIGIT_COMMA.search(text)
        plain = plain.replace(mark, "" if goes else " ")
    words = [_NUMBERS.get(word, word) for word in _PERIOD.sub("", plain).lower().split()]
    return " ".join(_SPELT.get(word, word) for word in words if word not in _ARTICLES)


def vqa_accuracy(answer: str, gold: Sequence[str]) -> float:
    """VQA accuracy of an answer, in [0, 1].

    min(matches / 3, 1), averaged over the subsets that leave one annotator out (Antol et al., arXiv 1505.00468;
    Goyal et al., arXiv 1612.00837). With ten annotators, 0, 1, 2, 3 and 4 matches give 0, 0.3, 0.6, 0.9 and 1.
    Right from `VQA_THRESHOLD` = 0.5: two of ten annotators agree.

    Args:
        answer: The answer; it is normalised as the gold answers are, always, as the challenge's server does (the
            published script leaves answers as they are where all annotators agree).
        gold: One answer from each annotator, with repeats. Where there are fewer than four, all others must agree
            in place of three; a single one must be matched.
    """
    target = normalise_vqa(answer)
    matches = [normalise_vqa(text) == target for text in gold]
    if len(matches) < 2:
        return float(any(matches))
    enough = min(_AGREEING, len(matches) - 1)
    return fmean(min((sum(matches) - match) / enough, 1.0) for match in matches)
