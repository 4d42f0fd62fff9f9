"""Block ``match_fraction``: proportion of answers equal to the scored one after normalisation."""

from __future__ import annotations

from torch import Tensor

from sgpu_lightning.features.blocks.block import Block, BlockInputs, has_texts


def _compute(given: BlockInputs) -> Tensor:
    ids = given.texts("match_fraction").ids.to(given.mask.device)
    equal = (ids[:, :-1] == ids[:, -1:]) & given.mask
    return (equal.sum(1) / given.counts).to(given.cosines).unsqueeze(1)


BLOCK = Block(name="match_fraction", compute=_compute, agreement=lambda size: [1.0], available=has_texts)
