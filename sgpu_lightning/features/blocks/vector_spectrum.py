"""Block ``spectrum``: log of the K reference eigenvalues of the vectors' Gram matrix.

On its own, it is the paper's method.
"""

from __future__ import annotations

from torch import Tensor

from sgpu_lightning.features.blocks.block import Block, BlockInputs, log_spectrum, spectrum_signs
from sgpu_lightning.features.gram_kernels import gram_matrix


def _compute(given: BlockInputs) -> Tensor:
    count = given.mask.shape[1]
    cosines = given.cosines[:, :count, :count]
    matrix = gram_matrix(cosines, given.mask, gram_kernel=given.gram_kernel, gamma=given.gamma)
    return log_spectrum(matrix, given, given.floor)


BLOCK = Block(name="spectrum", compute=_compute, agreement=spectrum_signs)
