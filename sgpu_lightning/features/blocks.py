"""Feature blocks: named groups of features of an answer set.

``spectrum`` alone is the paper's SGPU. The spectrum cannot know which answer is scored, nor what was said: the blocks
that look at the scored answer and at the texts are an extension. Shapes: B answer sets of at most N answers; K is the
reference size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.batch import AnswerBatch, TextBatch
from sgpu_lightning.features.spectrum import GramKernel, eigenspectrum, gram, reference_order, reference_spectrum

FeatureBlock = Literal[
    "spectrum",
    "scored_similarity",
    "match_fraction",
    "lexical_spectrum",
    "overlap_spectrum",
    "overlap_similarity",
    "lengths",
    "logprob",
    "question",
]
BLOCKS: tuple[FeatureBlock, ...] = get_args(FeatureBlock)
_OVERLAP_FLOOR = 1e-3  # word overlap is a ratio of small whole numbers: what is below is no answer's own


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockInputs:
    """What blocks are made of.

    Args:
        batch: The answer sets.
        cosines: Among the answers, float64 [B, N, N]; or with the scored answer as last row and column.
        mask: True for real answers, bool [B, N].
        size: K.
        floor: Of eigenvalues before the logarithm.
        kernel: Of the Gram matrix.
        gamma: Bandwidth of the RBF kernel.
    """

    batch: AnswerBatch
    cosines: Tensor
    mask: Tensor
    size: int
    floor: float
    kernel: GramKernel
    gamma: Tensor

    @property
    def counts(self) -> Tensor:
        """Number of answers of each set, int64 [B]."""
        return self.mask.sum(1)

    def texts(self, block: FeatureBlock) -> TextBatch:
        """The texts, or an error that names the block that needs them."""
        if self.batch.texts is None:
            raise SGPUError(f"feature block '{block}' needs the answers' texts, which the batch lacks")
        return self.batch.texts


@dataclass(frozen=True, slots=True)
class Block:
    """How a block is made.

    Args:
        compute: Gives [B, width].
        agreement: From K to a number for each feature: 1 where more of it means that the answers agree more, -1 where
            less of it does, 0 where it says nothing of agreement.
        scored: Whether it needs the scored answer's vector.
    """

    compute: Callable[[BlockInputs], Tensor]
    agreement: Callable[[int], list[float]]
    scored: bool = False


def _spectrum(given: BlockInputs) -> Tensor:
    count = given.mask.shape[1]
    matrix = gram(given.cosines[:, :count, :count], given.mask, kernel=given.kernel, gamma=given.gamma)
    return _log_spectrum(matrix, given, given.floor)


def _log_spectrum(matrix: Tensor, given: BlockInputs, floor: float) -> Tensor:
    spectrum = reference_spectrum(eigenspectrum(matrix), given.counts, given.size)
    return spectrum.clamp_min(floor).log()


def _scored_similarity(given: BlockInputs) -> Tensor:
    if given.batch.scored is None:
        raise SGPUError("feature block 'scored_similarity' needs the scored answer's vector, which the batch lacks")
    return _sorted(given.cosines[:, -1, :-1], given)


def _sorted(similarity: Tensor, given: BlockInputs) -> Tensor:
    """Similarities to the scored answer [B, N] in descending order, at K ranks."""
    ordered = similarity.masked_fill(~given.mask, -math.inf).sort(dim=-1, descending=True).values
    # Past the set's own answers stand -inf: never read, but 0 * -inf would be NaN.
    return reference_order(ordered.masked_fill(torch.isinf(ordered), 0.0), given.counts, given.size)


def _match_fraction(given: BlockInputs) -> Tensor:
    ids = given.texts("match_fraction").ids.to(given.mask.device)
    equal = (ids[:, :-1] == ids[:, -1:]) & given.mask
    return (equal.sum(1) / given.counts).to(given.cosines).unsqueeze(1)


def _lexical_spectrum(given: BlockInputs) -> Tensor:
    """Equal answers make blocks of ones in the Gram matrix: its eigenvalues are the shares of the distinct texts."""
    ids = given.texts("lexical_spectrum").ids[:, :-1].to(given.mask.device)
    distinct = max(int(ids.max()) + 1, ids.shape[1])
    shares = torch.zeros(len(ids), distinct, dtype=given.cosines.dtype, device=ids.device)
    shares.scatter_add_(1, ids.clamp_min(0), given.mask.to(shares.dtype))
    shares = shares.sort(dim=-1, descending=True).values[:, : ids.shape[1]] / given.counts.unsqueeze(1)
    return reference_spectrum(shares, given.counts, given.size)


def _overlap_spectrum(given: BlockInputs) -> Tensor:
    overlap = given.texts("overlap_spectrum").overlap[:, :-1, :-1].to(given.cosines)
    return _log_spectrum(gram(overlap, given.mask), given, _OVERLAP_FLOOR)


def _overlap_similarity(given: BlockInputs) -> Tensor:
    return _sorted(given.texts("overlap_similarity").overlap[:, -1, :-1].to(given.cosines), given)


def _lengths(given: BlockInputs) -> Tensor:
    lengths = given.texts("lengths").lengths.to(given.cosines)
    mean, spread = _mean_and_spread(lengths[:, :-1], given.mask.unsqueeze(-1))
    return torch.stack([lengths[:, -1], mean, spread], dim=-1).flatten(1)


def _logprob(given: BlockInputs) -> Tensor:
    logprobs = given.texts("logprob").logprobs.to(given.cosines)
    lacking = (logprobs.isnan() & given.mask).any(1)
    if bool(lacking.any()):
        raise SGPUError(
            f"feature block 'logprob' needs 'logprobs' in every record, {int(lacking.sum())} of {len(lacking)} answer "
            "sets lack them; leave the block out, or give records that have them"
        )
    return torch.stack(_mean_and_spread(logprobs.nan_to_num(), given.mask), dim=-1)


def _mean_and_spread(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the real answers' values [B, N, ...]."""
    real, count = mask.to(values), mask.sum(1)
    mean = (values * real).sum(1) / count
    spread = (((values - mean.unsqueeze(1)) * real).square().sum(1) / count).sqrt()
    return mean, spread


def _question(given: BlockInputs) -> Tensor:
    if given.batch.question is None:
        raise SGPUError(
            "feature block 'question' needs the question's vector, which hidden states and stores embedded by "
            "earlier versions lack: leave it out, or embed the store again"
        )
    return given.batch.question.to(given.cosines).unsqueeze(-1)


def _as_spectrum(size: int) -> list[float]:
    return [1.0] + [-1.0] * (size - 1)


def _as_similarity(size: int) -> list[float]:
    return [1.0] * size


BLOCK: dict[FeatureBlock, Block] = {
    "spectrum": Block(_spectrum, _as_spectrum),
    "scored_similarity": Block(_scored_similarity, _as_similarity, scored=True),
    "match_fraction": Block(_match_fraction, lambda size: [1.0]),
    "lexical_spectrum": Block(_lexical_spectrum, _as_spectrum),
    "overlap_spectrum": Block(_overlap_spectrum, _as_spectrum),
    "overlap_similarity": Block(_overlap_similarity, _as_similarity),
    "lengths": Block(_lengths, lambda size: [0.0] * 6),
    "logprob": Block(_logprob, lambda size: [0.0] * 2),
    "question": Block(_question, lambda size: [0.0]),
}
