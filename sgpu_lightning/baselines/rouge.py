"""ROUGE and BLEU of two texts, as rouge-score 0.1.2 (with stemmer) and NLTK compute them.

rouge-score itself fills a table of n x m cells for each longest common subsequence and stems every text again for
every pair. Here each text is stemmed once, and a subsequence is found in n steps on integers (Hyyrö, 2004).
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from nltk.stem.porter import PorterStemmer

TextSimilarity = Literal["rougeL", "rouge1", "rouge2", "bleu"]

_NOT_WORDS = re.compile(r"[^a-z0-9]+")
_BLEU_WEIGHTS = {1: (1.0, 0.0, 0.0, 0.0), 2: (0.5, 0.5, 0.0, 0.0), 3: (0.33, 0.33, 0.33, 0.0)}


def text_similarity(kind: TextSimilarity) -> Callable[[str, str], float]:
    """The similarity function of a kind; it gives a number in [0, 1]."""
    kinds: dict[TextSimilarity, Callable[[str, str], float]] = {
        "rougeL": rouge_l,
        "rouge1": lambda one, other: rouge_n(one, other, 1),
        "rouge2": lambda one, other: rouge_n(one, other, 2),
        "bleu": bleu,
    }
    return kinds[kind]


def rouge_l(one: str, other: str) -> float:
    """F1 of the longest common subsequence of stemmed words; 0 if a text has no words of a-z and 0-9."""
    first, second = stemmed_words(one), stemmed_words(other)
    return _f1(common_subsequence(first, second), len(first), len(second))


def rouge_n(one: str, other: str, n: int) -> float:
    """F1 of the n-grams of stemmed words of two texts."""
    first, second = _ngrams(stemmed_words(one), n), _ngrams(stemmed_words(other), n)
    return _f1((first & second).total(), max(first.total(), 1), max(second.total(), 1))


def bleu(reference: str, hypothesis: str) -> float:
    """BLEU of n-grams of up to four words, of fewer if a text is shorter, with the weights of lm-polygraph."""
    from nltk.translate.bleu_score import sentence_bleu

    words, others = reference.split(), hypothesis.split()
    weights = _BLEU_WEIGHTS.get(min(len(words), len(others)), (0.25, 0.25, 0.25, 0.25))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NLTK warns if texts share no n-grams, which is common here
        return float(sentence_bleu([words], others, weights=weights))


@lru_cache(maxsize=2**18)
def stemmed_words(text: str) -> tuple[str, ...]:
    """Words of a-z and 0-9 in lower case; words of more than three letters are stemmed."""
    words = _NOT_WORDS.sub(" ", text.lower()).split()
    return tuple(_stem(word) if len(word) > 3 else word for word in words)


def common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence, bit-parallel: one addition for each word of ``other``."""
    positions: dict[str, int] = {}
    for i, word in enumerate(one):
        positions[word] = positions.get(word, 0) | 1 << i
    all_bits = (1 << len(one)) - 1
    row = all_bits
    for word in other:
        matches = row & positions.get(word, 0)
        row = (row + matches | row - matches) & all_bits
    return len(one) - row.bit_count()


@cache
def _stemmer() -> PorterStemmer:
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()


@lru_cache(maxsize=2**16)
def _stem(word: str) -> str:
    return str(_stemmer().stem(word))


def _ngrams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _f1(common: int, size: int, other_size: int) -> float:
    if common == 0:
        return 0.0
    precision, recall = common / other_size, common / size
    return 2 * precision * recall / (precision + recall)
