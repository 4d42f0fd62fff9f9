"""Block ``scored_similarity``: cosine similarities of the scored answer and each answer, sorted, at K ranks."""

from __future__ import annotations

from torch import Tensor

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.blocks.block import Block, BlockInputs, similarity_signs, sorted_similarity


def _compute(given: BlockInputs) -> Tensor:
    if given.batch.scored is None:
        raise SGPUError("feature block 'scored_similarity' needs the scored answer's vector, which the batch lacks")
    return sorted_similarity(given.cosines[:, -1, :-1], given)


BLOCK = Block(
    name="scored_similarity",
    compute=_compute,
    agreement=similarity_signs,
    available=lambda batch: batch.scored is not None,
    scored=True,
)
