"""The definition of a feature block, and helper functions for several blocks.

A block is a named group of features of an answer set, with one length scale in the GP. Each block is one module of this
folder with a constant ``BLOCK``; the package discovers it automatically.

Shapes: B answer sets of at most N answers; K is the reference number of answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.answer_batch import AnswerBatch, TextBatch
from sgpu_lightning.features.gram_kernels import GramKernel
from sgpu_lightning.features.spectrum import eigenspectrum, reference_order, reference_spectrum


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockInputs:
    """The inputs that blocks are computed from.

    Args:
        batch: The answer sets.
        cosines: Cosine similarity of the answers, float64 [B, N, N], or [B, N + 1, N + 1] with the scored answer as
            last row and column.
        mask: True for real answers, bool [B, N].
        size: Reference number of answers K.
        floor: Lower limit that eigenvalues are clamped to before the logarithm.
        gram_kernel: Kernel of the Gram matrix.
        gamma: Bandwidth of the RBF Gram kernel.
    """

    batch: AnswerBatch
    cosines: Tensor
    mask: Tensor
    size: int
    floor: float
    gram_kernel: GramKernel
    gamma: Tensor

    @property
    def counts(self) -> Tensor:
        """Number of answers of each set, int64 [B]."""
        return self.mask.sum(1)

    def texts(self, block: str) -> TextBatch:
        """Return the text statistics of the answer sets.

        Args:
            block: Name of the block that needs them, for the error message.

        Raises:
            SGPUError: If the batch has no text statistics.
        """
        if self.batch.texts is None:
            raise SGPUError(f"feature block '{block}' needs the answers' texts, which the batch lacks")
        return self.batch.texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A feature block.

    Args:
        name: Name of the block in configurations.
        compute: Computes the features, float64 [B, width].
        agreement: Function of K that returns one sign for each feature: 1 where a larger value means more agreement of
            the answers, -1 where it means less, 0 where it says nothing about agreement. Its length is the block's
            width.
        available: Function of a batch: whether it holds the inputs that the block needs.
        scored: Whether the block needs the scored answer's vector.
    """

    name: str
    compute: Callable[[BlockInputs], Tensor]
    agreement: Callable[[int], list[float]]
    available: Callable[[AnswerBatch], bool] = lambda batch: True
    scored: bool = False


def has_texts(batch: AnswerBatch) -> bool:
    """Whether a batch holds the answers' texts."""
    return batch.texts is not None


def log_spectrum(matrix: Tensor, given: BlockInputs, floor: float) -> Tensor:
    """Log of the reference spectrum [B, K] of Gram matrices [B, N, N], with eigenvalues clamped at ``floor``."""
    spectrum = reference_spectrum(eigenspectrum(matrix), given.counts, given.size)
    return spectrum.clamp_min(floor).log()


def sorted_similarity(similarity: Tensor, given: BlockInputs) -> Tensor:
    """Similarities to the scored answer [B, N], sorted in descending order and interpolated at K ranks, [B, K]."""
    ordered = similarity.masked_fill(~given.mask, -math.inf).sort(dim=-1, descending=True).values
    # Entries past a set's own answers are -inf. They are never read, but 0 * -inf would be NaN.
    return reference_order(ordered.masked_fill(torch.isinf(ordered), 0.0), given.counts, given.size)


def mean_and_spread(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the real answers' values [B, N, ...]."""
    real, count = mask.to(values), mask.sum(1)
    mean = (values * real).sum(1) / count
    spread = (((values - mean.unsqueeze(1)) * real).square().sum(1) / count).sqrt()
    return mean, spread


def spectrum_signs(size: int) -> list[float]:
    """Signs of a spectrum: the answers agree more where the first eigenvalue is larger and the others are smaller."""
    return [1.0] + [-1.0] * (size - 1)


def similarity_signs(size: int) -> list[float]:
    """Signs of sorted similarities: the answers agree more where each is larger."""
    return [1.0] * size
