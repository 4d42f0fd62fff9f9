"""Block ``lengths``: log(1 + length) of the scored answer, and its mean and standard deviation over the answers.

These three are computed for words and then for characters, which gives 6 features.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sgpu_lightning.features.blocks.block import Block, BlockInputs, has_texts, mean_and_spread


def _compute(given: BlockInputs) -> Tensor:
    lengths = given.texts("lengths").lengths.to(given.cosines)
    mean, spread = mean_and_spread(lengths[:, :-1], given.mask.unsqueeze(-1))
    return torch.stack([lengths[:, -1], mean, spread], dim=-1).flatten(1)


BLOCK = Block(name="lengths", compute=_compute, agreement=lambda size: [0.0] * 6, available=has_texts)
