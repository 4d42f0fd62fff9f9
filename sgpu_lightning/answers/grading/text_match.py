"""Graders that compare texts: exact match, alias match, SQuAD's F1, ROUGE-L."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from sgpu_lightning.answers.grading.grader import ScoreGrader
from sgpu_lightning.answers.grading.registry import add_grader
from sgpu_lightning.answers.normalisation import normalise

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer

SQUAD_F1_THRESHOLD = 0.5
ROUGE_L_THRESHOLD = 0.3
_WORD = re.compile(r"[^\W_]+")


def exact_match(answer: str, gold: Sequence[str]) -> bool:
    """Whether the answer equals one of the gold answers after normalisation."""
    return normalise(answer) in {normalise(alias) for alias in gold}


def alias_match(answer: str, gold: Sequence[str]) -> bool:
    """Whether the answer equals a gold answer or contains one as whole words, after normalisation.

    "It was Paris, I think" contains "Paris". The reverse, an answer contained in a gold answer, does not count: "New"
    would match "New York".
    """
    padded = f" {normalise(answer)} "
    return any(f" {alias} " in padded for alias in map(normalise, gold) if alias) or exact_match(answer, gold)


def squad_f1(answer: str, gold: Sequence[str]) -> float:
    """SQuAD's F1 score of the normalised words, in [0, 1]; the maximum over the gold answers.

    F1 = 2 m / (a + g), where a and g are the numbers of words of the answer and the gold answer and m is the number
    of words they share, counted with repeats (Rajpurkar et al., arXiv 1606.05250). The grader ``squad_f1`` calls an
    answer right from `SQUAD_F1_THRESHOLD` = 0.5.
    """
    words = Counter(normalise(answer).split())
    return max((_f1(words, Counter(normalise(text).split())) for text in gold), default=0.0)


def _f1(answer: Counter[str], gold: Counter[str]) -> float:
    shared = (answer & gold).total()
    return 2 * shared / (answer.total() + gold.total()) if shared else 0.0


def rouge_l(answer: str, gold: Sequence[str]) -> float:
    """ROUGE-L F-measure as computed by Google's rouge-score, in [0, 1]; the maximum over the gold answers.

    It is based on the longest common subsequence of words (Lin 2004), in lower case, without stemming. Words of any
    script count; rouge-score's own tokenizer keeps only the letters a to z and digits. The grader ``rouge_l`` calls an
    answer right from `ROUGE_L_THRESHOLD` = 0.3, the rule of Kuhn et al. (arXiv 2302.09664), which is lenient with
    answers of several words.
    """
    if not gold:
        return 0.0
    return float(_scorer().score_multi(list(gold), answer)["rougeL"].fmeasure)


class _AnyScriptTokenizer:
    def tokenize(self, text: str) -> list[str]:
        return _WORD.findall(text.lower())


@cache
def _scorer() -> RougeScorer:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=_AnyScriptTokenizer())


add_grader("exact", exact_match, position=1)
add_grader("alias", alias_match, position=2)
add_grader("squad_f1", ScoreGrader(squad_f1, SQUAD_F1_THRESHOLD), position=3)
add_grader("rouge_l", ScoreGrader(rouge_l, ROUGE_L_THRESHOLD), position=4)
