"""Block ``logprob``: mean and standard deviation of the answers' log-probabilities."""

from __future__ import annotations

import torch
from torch import Tensor

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.blocks.block import Block, BlockInputs, has_texts, mean_and_spread


def _compute(given: BlockInputs) -> Tensor:
    logprobs = given.texts("logprob").logprobs.to(given.cosines)
    lacking = (logprobs.isnan() & given.mask).any(1)
    if bool(lacking.any()):
        raise SGPUError(
            f"feature block 'logprob' needs 'logprobs' in every record, but {int(lacking.sum())} of {len(lacking)} "
            "answer sets lack them; leave the block out, or give records that have them"
        )
    return torch.stack(mean_and_spread(logprobs.nan_to_num(), given.mask), dim=-1)


BLOCK = Block(name="logprob", compute=_compute, agreement=lambda size: [0.0] * 2, available=has_texts)
