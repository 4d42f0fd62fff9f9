"""Block ``overlap_similarity``: word overlap (Jaccard) of the scored answer and each answer, sorted, at K ranks."""

from __future__ import annotations

from torch import Tensor

from sgpu_lightning.features.blocks.block import Block, BlockInputs, has_texts, similarity_signs, sorted_similarity


def _compute(given: BlockInputs) -> Tensor:
    return sorted_similarity(given.texts("overlap_similarity").overlap[:, -1, :-1].to(given.cosines), given)


BLOCK = Block(name="overlap_similarity", compute=_compute, agreement=similarity_signs, available=has_texts)
