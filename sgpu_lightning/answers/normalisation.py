"""Normalisation of answers: two texts with the same normal form count as the same answer."""

from __future__ import annotations

import re
import string
import unicodedata

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces (SQuAD's rule, after Unicode NFKC).

    If nothing is left ("A", "+"), articles are kept, and if still nothing is left, punctuation too: option "A" is not
    an empty answer.
    """
    lower = unicodedata.normalize("NFKC", text).lower()
    plain = lower.translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split() or plain.split() or lower.split())
