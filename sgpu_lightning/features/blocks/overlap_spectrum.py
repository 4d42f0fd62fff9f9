"""Block ``overlap_spectrum``: log spectrum of the Jaccard similarity of the answers' words, at K ranks."""

from __future__ import annotations

from torch import Tensor

from sgpu_lightning.features.blocks.block import Block, BlockInputs, has_texts, log_spectrum, spectrum_signs
from sgpu_lightning.features.gram_kernels import gram_matrix

_FLOOR = 1e-3  # word overlap is a ratio of small integers, so a smaller eigenvalue carries no information


def _compute(given: BlockInputs) -> Tensor:
    overlap = given.texts("overlap_spectrum").overlap[:, :-1, :-1].to(given.cosines)
    return log_spectrum(gram_matrix(overlap, given.mask), given, _FLOOR)


BLOCK = Block(name="overlap_spectrum", compute=_compute, agreement=spectrum_signs, available=has_texts)
