"""Gram kernels, and the trace-normalised Gram matrix of an answer set's vectors; differentiable.

Everything runs in float64 with autocast off: float32 noise (1e-7) would swamp the small eigenvalues of answers that
nearly agree. To add a Gram kernel, name it in `GramKernel` and give its formula in `_SIMILARITY`.

Shapes: B answer sets, L layers (1 in the black-box setting), N answers (padded to the longest set; ``mask`` marks the
real ones), d vector length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from sgpu_lightning.errors import SGPUError

GramKernel = Literal["linear", "rbf"]
# Functions of the cosines of unit vectors and the bandwidth gamma that return the similarities.
_SIMILARITY: dict[GramKernel, Callable[[Tensor, Tensor | float], Tensor]] = {
    "linear": lambda cosines, gamma: cosines,
    "rbf": lambda cosines, gamma: torch.exp(-2.0 * gamma * (1.0 - cosines)),
}
_BLOCK_ELEMENTS = 2**18  # 2 MiB of float64, about one core's cache: 2 to 3 times the speed of one large copy


def cosine_gram(vectors: Tensor, last: Tensor | None = None) -> Tensor:
    """Cosine similarity of every pair of rows.

    Args:
        vectors: Float tensor [..., N, d] of any float dtype. Rows need not be normalised.
        last: One more row after the others, [..., d]. It is appended block by block, which is faster than copying all
            vectors at once.

    Returns:
        Float64 [..., N, N], or [..., N + 1, N + 1] with ``last``. The diagonal is 1 where the row is not zero; rows
        and columns of zero rows are 0.

    Raises:
        SGPUError: If a vector is not finite.
    """
    device_type = "cpu" if vectors.device.type == "mps" else vectors.device.type
    with torch.autocast(device_type=device_type, enabled=False):
        # MPS has no float64. The matrices are small, so the CPU is fast enough.
        parts = [vectors] if last is None else [vectors, last.unsqueeze(-2)]
        parts = [part.cpu() if part.device.type == "mps" else part for part in parts]
        products = _self_products([part.reshape(-1, *part.shape[-2:]) for part in parts])
        products = products.reshape(*vectors.shape[:-2], *products.shape[-2:])
        squared = products.diagonal(dim1=-2, dim2=-1)
        if not torch.isfinite(squared).all():
            raise SGPUError("vectors: expected finite numbers, got NaN or infinity; check what made the vectors")
        scale = torch.where(squared > 0, squared, 1.0).rsqrt()
        return products * scale.unsqueeze(-1) * scale.unsqueeze(-2)


def _self_products(parts: Sequence[Tensor]) -> Tensor:
    """Z Z^T in float64 for each matrix Z, in blocks whose float64 copy stays in cache.

    Args:
        parts: The rows of each Z, [B, n, d] each.
    """
    elements = sum(part.shape[1] * part.shape[2] for part in parts)
    sets = max(1, len(parts[0]) if parts[0].is_cuda else _BLOCK_ELEMENTS // elements)
    blocks = zip(*(torch.split(part, sets) for part in parts), strict=True)
    doubles = (torch.cat(block, dim=1).double() if len(block) > 1 else block[0].double() for block in blocks)
    return torch.cat([z @ z.mT for z in doubles])


def gram_matrix(
    cosines: Tensor, mask: Tensor | None = None, *, gram_kernel: GramKernel = "linear", gamma: Tensor | float = 1.0
) -> Tensor:
    """The trace-normalised Gram matrix Sigma / n, whose eigenvalues sum to 1.

    Args:
        cosines: From `cosine_gram`, [..., N, N].
        mask: Bool [..., N], True for real answers; None if there is no padding.
        gram_kernel: ``linear``: cos(z_i, z_j). ``rbf``: exp(-gamma |z_i - z_j|^2) of the unit vectors.
        gamma: Bandwidth of the RBF kernel, > 0.

    Returns:
        Float64 [..., N, N]. Rows and columns of masked answers are 0 and add only zero eigenvalues.
    """
    similarities = _SIMILARITY[gram_kernel](cosines, gamma)
    if mask is None:
        return similarities / cosines.shape[-1]
    real = mask.to(similarities.dtype)
    count = real.sum(-1)[..., None, None]
    return similarities * real.unsqueeze(-1) * real.unsqueeze(-2) / count
