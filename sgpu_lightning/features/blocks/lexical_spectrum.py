"""Block ``lexical_spectrum``: eigenvalues of the exact-match Gram matrix, at K ranks."""

from __future__ import annotations

import torch
from torch import Tensor

from sgpu_lightning.features.blocks.block import Block, BlockInputs, has_texts, spectrum_signs
from sgpu_lightning.features.spectrum import reference_spectrum


def _compute(given: BlockInputs) -> Tensor:
    # Equal answers make blocks of ones in the Gram matrix, so its eigenvalues are the proportions of distinct texts.
    ids = given.texts("lexical_spectrum").ids[:, :-1].to(given.mask.device)
    distinct = max(int(ids.max()) + 1, ids.shape[1])
    found = torch.zeros(len(ids), distinct, dtype=given.cosines.dtype, device=ids.device)
    found.scatter_add_(1, ids.clamp_min(0), given.mask.to(found.dtype))
    proportions = found.sort(dim=-1, descending=True).values[:, : ids.shape[1]] / given.counts.unsqueeze(1)
    return reference_spectrum(proportions, given.counts, given.size)


BLOCK = Block(name="lexical_spectrum", compute=_compute, agreement=spectrum_signs, available=has_texts)
