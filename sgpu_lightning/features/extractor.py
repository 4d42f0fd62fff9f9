"""Computation of the features: an optional learned projection, the cosines of the answers, and the feature blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from sgpu_lightning.answers.storage.vectors import VectorSpec
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.answer_batch import AnswerBatch
from sgpu_lightning.features.blocks import BLOCKS, BlockInputs
from sgpu_lightning.features.gram_kernels import GramKernel, cosine_gram

MAX_SIZE = 1000  # limit of the reference number of answers: a predictor's config may come from anywhere
# Chosen by cross-validation over many data sets, see docs/results.md.
DEFAULT_BLOCKS = (
    "spectrum",
    "scored_similarity",
    "match_fraction",
    "overlap_spectrum",
    "overlap_similarity",
    "lengths",
    "question",
)


class AnswerFeatures(nn.Module):
    """Computes features of answer sets, differentiable with respect to the vectors and the extractor's parameters.

    Args:
        blocks: Names of the feature blocks, in the order of the features; see docs/features.md.
        size: K, the reference number of answers. Sets of other sizes are mapped to it.
        floor: Lower limit that eigenvalues are clamped to before the logarithm, in (0, 1/K).
        gram_kernel: Kernel of the Gram matrix, ``linear`` or ``rbf``.
        gamma: Bandwidth of the RBF Gram kernel.
        learn_gamma: Learn the bandwidth.
        projection: (d, p): learn a linear map of the vectors from d to p dimensions before the Gram matrix; None for no
            map.
        num_layers: Number of layers L. The layers' cosine matrices are averaged with weights.
        learn_layers: Learn these weights (a softmax). Otherwise all weights are equal.

    Raises:
        SGPUError: If an argument is invalid. The message names it.
    """

    def __init__(
        self,
        blocks: Sequence[str] = ("spectrum",),
        *,
        size: int = 10,
        floor: float = 1e-6,
        gram_kernel: GramKernel = "linear",
        gamma: float = 1.0,
        learn_gamma: bool = False,
        projection: Sequence[int] | None = None,
        num_layers: int = 1,
        learn_layers: bool = False,
    ) -> None:
        super().__init__()
        _check(blocks, size, floor, gram_kernel, gamma)
        self.blocks = tuple(blocks)
        self.size, self.floor, self.gram_kernel = size, floor, gram_kernel
        self.learn_gamma, self.learn_layers = learn_gamma, learn_layers
        self.log_gamma = nn.Parameter(torch.tensor(math.log(gamma), dtype=torch.float64), requires_grad=learn_gamma)
        self.layer_logits = nn.Parameter(torch.zeros(num_layers, dtype=torch.float64), requires_grad=learn_layers)
        self.projection: nn.Linear | None = None
        if projection is not None:
            length, width = projection
            self.projection = nn.Linear(length, width, bias=False, dtype=torch.float64)
            nn.init.orthogonal_(self.projection.weight)

    @property
    def learnable(self) -> bool:
        """Whether anything before the GP is learned. If not, features are computed once."""
        return any(parameter.requires_grad for parameter in self.parameters())

    @property
    def num_features(self) -> int:
        """F, the number of features of a set."""
        return sum(self.widths)

    @property
    def widths(self) -> list[int]:
        """Number of features in each block."""
        return [len(BLOCKS[block].agreement(self.size)) for block in self.blocks]

    @property
    def agreement(self) -> Tensor:
        """Sign of each feature's relation to agreement of the answers: 1, -1 or 0, float64 [F]; see `Block`."""
        signs = [sign for block in self.blocks for sign in BLOCKS[block].agreement(self.size)]
        return torch.tensor(signs, dtype=torch.float64)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> AnswerFeatures:
        """Make an extractor from `settings`, which may have been written by an earlier version."""
        current = dict(settings)
        if "kernel" in current:  # the name of gram_kernel before version 0.2
            current["gram_kernel"] = current.pop("kernel")
        return cls(**current)

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-ready arguments of `from_settings` for an extractor with the same settings."""
        linear = self.projection
        return {
            "blocks": list(self.blocks),
            "size": self.size,
            "floor": self.floor,
            "gram_kernel": self.gram_kernel,
            "gamma": self.log_gamma.exp().item(),
            "learn_gamma": self.learn_gamma,
            "projection": None if linear is None else [linear.in_features, linear.out_features],
            "num_layers": len(self.layer_logits),
            "learn_layers": self.learn_layers,
        }

    def extra_repr(self) -> str:
        """Describe the settings. Extractors without learned parameters give equal features if this text is equal."""
        return (
            f"blocks={list(self.blocks)}, size={self.size}, floor={self.floor}, gram_kernel={self.gram_kernel}, "
            f"gamma={self.log_gamma.exp().item():.6g}, layers={self.layer_logits.softmax(0).tolist()}"
        )

    def forward(self, batch: AnswerBatch) -> Tensor:
        """Features of each answer set, float64 [B, F]."""
        if batch.vectors is None:
            raise SGPUError("the batch has no vectors: expected vectors [B, L, N, d] to compute features from")
        cosines = self._cosines(batch)
        mask = batch.mask if batch.mask is not None else batch.vectors.new_ones(cosines.shape[:2], dtype=torch.bool)
        given = BlockInputs(
            batch=batch,
            cosines=cosines,
            mask=mask.to(cosines.device),
            size=self.size,
            floor=self.floor,
            gram_kernel=self.gram_kernel,
            gamma=self.log_gamma.exp(),
        )
        return torch.cat([BLOCKS[block].compute(given) for block in self.blocks], dim=-1)

    def _cosines(self, batch: AnswerBatch) -> Tensor:
        """Cosines of the answers [B, N, N], with the scored answer as last row and column if a block needs it."""
        vectors, scored = batch.vectors, batch.scored
        assert vectors is not None
        if vectors.shape[1] != len(self.layer_logits):
            raise SGPUError(
                f"vectors: expected {len(self.layer_logits)} layers, got {vectors.shape[1]}; set num_layers to match"
            )
        last = scored if any(BLOCKS[block].scored for block in self.blocks) else None
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


def blocks_of(specs: Sequence[VectorSpec]) -> list[str]:
    """The default blocks for vectors of these kinds: all of them, without ``question`` for hidden states.

    No hidden state of a question is recorded.
    """
    hidden = any(spec.kind == "hidden" for spec in specs)
    return [block for block in DEFAULT_BLOCKS if block != "question" or not hidden]


def available_blocks(batch: AnswerBatch) -> list[str]:
    """The default blocks whose inputs a batch holds."""
    return [block for block in DEFAULT_BLOCKS if BLOCKS[block].available(batch)]


def mean_of(blocks: Sequence[str]) -> Literal["agreement", "constant"]:
    """The default prior mean: ``constant`` for the spectrum alone (the paper's method), else ``agreement``."""
    return "constant" if list(blocks) == ["spectrum"] else "agreement"


def _check(blocks: Sequence[str], size: int, floor: float, gram_kernel: str, gamma: float) -> None:
    if not blocks or len(set(blocks)) != len(blocks) or set(blocks) - set(BLOCKS):
        raise SGPUError(f"features: expected distinct blocks out of {', '.join(BLOCKS)}, got {list(blocks)}")
    if not 3 <= size <= MAX_SIZE:
        raise SGPUError(f"num_eigenvalues: expected 3 to {MAX_SIZE}, got {size}")
    if not 0 < floor < 1 / size:
        raise SGPUError(f"floor: expected a number between 0 and 1/num_eigenvalues = {1 / size:g}, got {floor}")
    if gram_kernel not in get_args(GramKernel):
        raise SGPUError(f"gram_kernel: expected one of {', '.join(get_args(GramKernel))}, got '{gram_kernel}'")
    if not gamma > 0:
        raise SGPUError(f"gamma: expected a number > 0, got {gamma}")
