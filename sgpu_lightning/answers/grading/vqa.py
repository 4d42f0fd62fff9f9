"""Grader of visual question answering: VQA accuracy, the soft score of the VQA challenges over several annotators."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations
from statistics import fmean

from sgpu_lightning.answers.grading.grader import ScoreGrader
from sgpu_lightning.answers.grading.registry import add_grader

VQA_THRESHOLD = 0.5
_AGREEING = 3  # number of agreeing annotators from which an answer scores 1

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
    """All spellings of the word that lack some or all of its apostrophes."""
    places = [i for i, letter in enumerate(word) if letter == "'"]
    removals = [set(subset) for count in range(1, len(places) + 1) for subset in combinations(places, count)]
    return ["".join(letter for i, letter in enumerate(word) if i not in removed) for removed in removals]


_CONTRACTION_OF = {spelling: word for word in _CONTRACTIONS.split() for spelling in _spellings(word)}


def normalise_vqa(text: str) -> str:
    """Normal form of an answer according to the official VQA evaluation.

    The text is converted to lower case. Punctuation is removed, or becomes a space between two words
    ("black-white"); a period before a digit stays ("3.5"). Articles are removed, number words up to ten become digits,
    and contractions get their apostrophes back. As in the official evaluation, the whole answer decides about a mark:
    it is removed if it stands next to a space anywhere in the answer, or if there is a comma between digits anywhere.
    """
    text = " ".join(text.split())
    plain = text
    for mark in _PUNCTUATION:
        is_removed = f"{mark} " in text or f" {mark}" in text or _DIGIT_COMMA.search(text)
        plain = plain.replace(mark, "" if is_removed else " ")
    words = [_NUMBERS.get(word, word) for word in _PERIOD.sub("", plain).lower().split()]
    return " ".join(_CONTRACTION_OF.get(word, word) for word in words if word not in _ARTICLES)


def vqa_accuracy(answer: str, gold: Sequence[str]) -> float:
    """VQA accuracy of an answer, in [0, 1].

    The accuracy is min(matches / 3, 1), averaged over the subsets that leave one annotator out (Antol et al., arXiv
    1505.00468; Goyal et al., arXiv 1612.00837). With ten annotators, 0, 1, 2, 3 and 4 matches give 0, 0.3, 0.6, 0.9
    and 1. The grader ``vqa`` calls an answer right from `VQA_THRESHOLD` = 0.5, that is, if two of ten annotators agree.

    Args:
        answer: The answer. It is always normalised like the gold answers, as the challenge's server does; the
            published script does not normalise it if all annotators agree.
        gold: One answer from each annotator, with repeats. With fewer than four annotators, all others instead of
            three must agree; a single annotator's answer must be matched.
    """
    target = normalise_vqa(answer)
    matches = [normalise_vqa(text) == target for text in gold]
    if len(matches) < 2:
        return float(any(matches))
    enough = min(_AGREEING, len(matches) - 1)
    return fmean(min((sum(matches) - match) / enough, 1.0) for match in matches)


add_grader("vqa", ScoreGrader(vqa_accuracy, VQA_THRESHOLD), position=5)
