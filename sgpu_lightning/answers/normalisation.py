"""Normalisation of answers: which two texts count as the same answer."""

from __future__ import annotations

import re
import string
import unicodedata

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces (SQuAD's rule, after Unicode NFKC).

    Where that leaves nothing ("A", "+"), articles and then punctuation stay: option A is no empty answer.
    """
    lower = unicodedata.normalize("NFKC", text).lower()
    plain = lower.translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split() or plain.split() or lower.split())
