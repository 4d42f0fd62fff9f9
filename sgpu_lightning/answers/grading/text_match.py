"""Graders that compare texts: equality, aliases, SQuAD's F1, ROUGE-L."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

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

    "It was Paris, I think" contains "Paris". The answer is never looked for inside the gold: "New" would
    match "New York".
    """
    padded = f" {normalise(answer)} "
    return any(f" {alias} " in padded for alias in map(normalise, gold) if alias) or exact_match(answer, gold)


def squad_f1(answer: str, gold: Sequence[str]) -> float:
    """SQuAD's F1 of the normalised words, in [0, 1], against the gold answer that gives most.

    F1 = 2 m / (a + g) with a and g words in answer and gold, m of them shared, counted with repeats (Rajpurkar et
    al., arXiv 1606.05250). Right from `SQUAD_F1_THRESHOLD` = 0.5.
    """
    words = Counter(normalise(answer).split())
    return max((_f1(words, Counter(normalise(text).split())) for text in gold), default=0.0)


def _f1(answer: Counter[str], gold: Counter[str]) -> float:
    shared = (answer & gold).total()
    return 2 * shared / (answer.total() + gold.total()) if shared else 0.0


def rouge_l(answer: str, gold: Sequence[str]) -> float:
    """ROUGE-L's F-measure by Google's rouge-score, in [0, 1], against the gold answer that gives most.

    It rests on the longest common subsequence of words (Lin 2004), lower case, not stemmed. Words are those of any
    script; rouge-score's own rule keeps the letters a to z alone. Right from `ROUGE_L_THRESHOLD` = 0.3, the rule of
    Kuhn et al. (arXiv 2302.09664), which is lenient with answers of several words.
    """
    if not gold:
        return 0.0
    return float(_scorer().score_multi(list(gold), answer)["rougeL"].fmeasure)


class _AnyScript:
    def tokenize(self, text: str) -> list[str]:
        return _WORD.findall(text.lower())


@cache
def _scorer() -> RougeScorer:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], tokenizer=_AnyScript())
