"""From vectors to what the GP sees: a learnable front, the Gram matrix, and feature blocks.

A block is a named group of features. ``spectrum`` alone is the paper's SGPU; the spectrum cannot know which
answer is scored, so the blocks that look at it are an extension.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from sgpu_lightning.answers.lengths import NUM_LENGTHS
from sgpu_lightning.answers.vectors import VectorSpec
from sgpu_lightning.batch import AnswerBatch
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.spectrum import GramKernel, cosine_gram, eigenspectrum, gram, reference_order, reference_spectrum

FeatureBlock = Literal["spectrum", "scored_similarity", "match_fraction", "lengths", "question"]
BLOCKS: tuple[FeatureBlock, ...] = get_args(FeatureBlock)


class AnswerFeatures(nn.Module):
    """Features of answer sets, differentiable with respect to the vectors and to its own parameters.

    Args:
        blocks: Which feature blocks, in this order. ``spectrum``: log of the K reference eigenvalues.
            ``scored_similarity``: cosines of the scored answer to the answers, sorted, at K ranks.
            ``match_fraction``: share of answers equal to the scored one after normalisation. ``lengths``: of the
            scored answer and of the answers, see `answer_lengths`. ``question``: cosine of the scored answer to the
            question, which only an encoder's vectors have.
        size: K, the reference number of answers; sets of other sizes are mapped to it.
        floor: Eigenvalues are clamped at this before the logarithm, in (0, 1/K).
        kernel: Gram kernel, ``linear`` or ``rbf``.
        gamma: Bandwidth of the RBF kernel.
        learn_gamma: Learn the bandwidth.
        projection: (d, p): learn a linear map of the vectors from d to p before the Gram matrix.
        num_layers: L; the layers' cosine matrices are averaged with weights.
        learn_layers: Learn these weights (a softmax); otherwise they are equal.

    Raises:
        SGPUError: Naming the argument that is off.
    """

    def __init__(
        self,
        blocks: Sequence[FeatureBlock] = ("spectrum",),
        *,
        size: int = 10,
        floor: float = 1e-6,
        kernel: GramKernel = "linear",
        gamma: float = 1.0,
        learn_gamma: bool = False,
        projection: tuple[int, int] | None = None,
        num_layers: int = 1,
        learn_layers: bool = False,
    ) -> None:
        super().__init__()
        _check(blocks, size, floor, kernel, gamma)
        self.blocks = tuple(blocks)
        self.size, self.floor, self.kernel = size, floor, kernel
        self.log_gamma = nn.Parameter(torch.tensor(math.log(gamma), dtype=torch.float64), requires_grad=learn_gamma)
        self.layer_logits = nn.Parameter(torch.zeros(num_layers, dtype=torch.float64), requires_grad=learn_layers)
        self.projection: nn.Linear | None = None
        if projection is not None:
            self.projection = nn.Linear(*projection, bias=False, dtype=torch.float64)
            nn.init.orthogonal_(self.projection.weight)

    @property
    def learnable(self) -> bool:
        """Whether anything before the GP is learned; if not, features are computed once."""
        return any(parameter.requires_grad for parameter in self.parameters())

    @property
    def num_features(self) -> int:
        """F, the length of what `forward` gives for each set."""
        return sum(self.widths)

    @property
    def widths(self) -> list[int]:
        """Features in each block."""
        widths = {
            "spectrum": self.size,
            "scored_similarity": self.size,
            "match_fraction": 1,
            "lengths": NUM_LENGTHS,
            "question": 1,
        }
        return [widths[block] for block in self.blocks]

    def extra_repr(self) -> str:
        """What the features are; two extractors that print the same and learn nothing give the same."""
        return (
            f"blocks={list(self.blocks)}, size={self.size}, floor={self.floor}, kernel={self.kernel}, "
            f"gamma={self.log_gamma.exp().item():.6g}, layers={self.layer_logits.softmax(0).tolist()}"
        )

    def forward(self, batch: AnswerBatch) -> Tensor:
        """Features of each answer set, float64 [B, F]."""
        if batch.vectors is None:
            raise SGPUError("the batch has no vectors: expected vectors [B, L, N, d] to take features of")
        parts = {block: getattr(self, f"_{block}") for block in self.blocks}
        cosines = self._cosines(batch)
        mask = batch.mask if batch.mask is not None else batch.vectors.new_ones(cosines.shape[:2], dtype=torch.bool)
        return torch.cat([part(batch, cosines, mask.to(cosines.device)) for part in parts.values()], dim=-1)

    def _cosines(self, batch: AnswerBatch) -> Tensor:
        """Cosines among the answers [B, N, N]; with the scored answer as last row and column where a block needs it."""
        vectors, scored = batch.vectors, batch.scored
        assert vectors is not None
        if vectors.shape[1] != len(self.layer_logits):
            raise SGPUError(
                f"vectors: expected {len(self.layer_logits)} layers, got {vectors.shape[1]}; set num_layers to match"
            )
        last = scored if "scored_similarity" in self.blocks else None
        if self.projection is not None:
            if vectors.shape[-1] != self.projection.in_features:
                raise SGPUError(
                    f"vectors: expected length {self.projection.in_features}, which the learned projection takes, got "
                    f"{vectors.shape[-1]}; only predictors without projection_dim take vectors of any length"
                )
            vectors = self.projection(vectors.to(self.projection.weight))
            last = None if last is None else self.projection(last.to(self.projection.weight))
        cosines = cosine_gram(vectors, last)
        if cosines.shape[1] == 1:
            return cosines[:, 0]
        return torch.einsum("l,blij->bij", self.layer_logits.softmax(0), cosines)

    def _spectrum(self, batch: AnswerBatch, cosines: Tensor, mask: Tensor) -> Tensor:
        count = mask.shape[1]
        matrix = gram(cosines[:, :count, :count], mask, kernel=self.kernel, gamma=self.log_gamma.exp())
        spectrum = reference_spectrum(eigenspectrum(matrix), mask.sum(1), self.size)
        return spectrum.clamp_min(self.floor).log()

    def _scored_similarity(self, batch: AnswerBatch, cosines: Tensor, mask: Tensor) -> Tensor:
        if batch.scored is None:
            raise SGPUError("feature block 'scored_similarity' needs the scored answer's vector, which the batch lacks")
        similarity = cosines[:, -1, :-1].masked_fill(~mask, -math.inf)
        ordered = similarity.sort(dim=-1, descending=True).values
        # Past the set's own answers stand -inf: never read, but 0 * -inf would be NaN.
        return reference_order(ordered.masked_fill(torch.isinf(ordered), 0.0), mask.sum(1), self.size)

    def _match_fraction(self, batch: AnswerBatch, cosines: Tensor, mask: Tensor) -> Tensor:
        if batch.match is None:
            raise SGPUError("feature block 'match_fraction' needs the answers' texts, which the batch lacks")
        return batch.match.to(cosines).unsqueeze(-1)

    def _lengths(self, batch: AnswerBatch, cosines: Tensor, mask: Tensor) -> Tensor:
        if batch.lengths is None:
            raise SGPUError("feature block 'lengths' needs the answers' texts, which the batch lacks")
        return batch.lengths.to(cosines)

    def _question(self, batch: AnswerBatch, cosines: Tensor, mask: Tensor) -> Tensor:
        if batch.question is None:
            raise SGPUError(
                "feature block 'question' needs the question's vector, which hidden states and stores embedded by "
                "earlier versions lack: leave it out, or embed the store again"
            )
        return batch.question.to(cosines).unsqueeze(-1)


def blocks_of(specs: Sequence[VectorSpec]) -> list[FeatureBlock]:
    """Every block that vectors of these kinds give: questions have no hidden states of an answer's token."""
    hidden = any(spec.kind == "hidden" for spec in specs)
    return [block for block in BLOCKS if block != "question" or not hidden]


def _check(blocks: Sequence[str], size: int, floor: float, kernel: str, gamma: float) -> None:
    if not blocks or len(set(blocks)) != len(blocks) or set(blocks) - set(BLOCKS):
        raise SGPUError(f"features: expected distinct blocks out of {', '.join(BLOCKS)}, got {list(blocks)}")
    if size < 3:
        raise SGPUError(f"num_eigenvalues: expected at least 3, got {size}")
    if not 0 < floor < 1 / size:
        raise SGPUError(f"floor: expected a number between 0 and 1/num_eigenvalues = {1 / size:g}, got {floor}")
    if kernel not in get_args(GramKernel):
        raise SGPUError(f"gram: expected one of {', '.join(get_args(GramKernel))}, got '{kernel}'")
    if not gamma > 0:
        raise SGPUError(f"gamma: expected a number > 0, got {gamma}")
