"""Block ``question``: cosine similarity of the scored answer and the question.

It needs an encoder's vectors, because no hidden states of questions are recorded.
"""

from __future__ import annotations

from torch import Tensor

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.blocks.block import Block, BlockInputs


def _compute(given: BlockInputs) -> Tensor:
    if given.batch.question is None:
        raise SGPUError(
            "feature block 'question' needs the question's vector, which hidden states and stores embedded by "
            "earlier versions lack; leave the block out, or embed the store again"
        )
    return given.batch.question.to(given.cosines).unsqueeze(-1)


BLOCK = Block(
    name="question",
    compute=_compute,
    agreement=lambda size: [0.0],
    available=lambda batch: batch.question is not None,
)
