"""Scores computed from the texts of the answers alone: exact matches, lexical entropy, ROUGE and BLEU."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from sgpu_lightning.baselines.clusters import entropy_of_labels
from sgpu_lightning.baselines.inputs.set_group import SetGroup
from sgpu_lightning.baselines.registry import register
from sgpu_lightning.baselines.rouge import TextSimilarity, text_similarity

ORDER = 1
_KUHN = "Kuhn et al., ICLR 2023 (arXiv 2302.09664); as lm-polygraph 0.7.0, LexicalSimilarity"
_COLE = "Cole et al., EMNLP 2023 (arXiv 2305.14613)"


@register("match_fraction", sign=1, low="0", high="1", source=_COLE)
def match_fraction(group: SetGroup) -> Tensor:
    """Proportion of the answers that equal the scored answer after normalisation."""
    scored = group.inputs.texts.normal_ids[group.scored_ids]
    return (group.normal_ids == scored.unsqueeze(1)).double().mean(1)


@register("exact_match", sign=1, low="0", high="1", source=f"{_COLE}; as uqlm 0.6.7, exact_match")
def exact_match(group: SetGroup) -> Tensor:
    """Proportion of the answers that equal the scored answer exactly."""
    return (group.text_ids == group.scored_ids.unsqueeze(1)).double().mean(1)


@register("lexical_entropy", sign=-1, low="0", high="ln n", source="the entropy of observed strings")
def lexical_entropy(group: SetGroup) -> Tensor:
    """Entropy of the frequencies of the answers' normalised texts, in nats."""
    return entropy_of_labels(group.normal_ids)


def _register_lexical_similarity(name: str, kind: TextSimilarity, words: str) -> None:
    @register(name, sign=1, low="0", high="1", source=_KUHN, definition=f"Mean {words} of all pairs of answers")
    def lexical_similarity(group: SetGroup) -> Tensor:
        pairs = group.count * (group.count - 1) / 2
        return pair_similarity(group, kind).sum(dim=(1, 2)) / pairs


def pair_similarity(group: SetGroup, kind: TextSimilarity) -> Tensor:
    """Text similarity of all pairs i < j, float64 [b, n, n]; see `SetGroup.pairs`."""
    make = partial(group.pairs, text_similarity(kind), symmetric=kind != "bleu")
    return group.cached(f"pairs {kind}", make)


def rouge_l_matrix(group: SetGroup) -> Tensor:
    """ROUGE-L of all pairs with unit diagonal, float64 [b, n, n]."""
    upper = pair_similarity(group, "rougeL")
    return upper + upper.mT + torch.eye(group.count, dtype=torch.float64)


_register_lexical_similarity("lexical_similarity", "rougeL", "ROUGE-L F1 (stemmed)")
_register_lexical_similarity("lexical_similarity_rouge1", "rouge1", "ROUGE-1 F1 (stemmed)")
_register_lexical_similarity(
    "lexical_similarity_rouge2", "rouge2", "ROUGE-2 F1 (stemmed; 0 for answers of one word, even equal ones)"
)
_register_lexical_similarity("lexical_similarity_bleu", "bleu", "BLEU of the later against the earlier answer")
