"""The differentiable Gram matrix of an answer set's vectors and its eigenspectrum.

Everything runs in float64 with autocast off: float32 noise (1e-7) would swamp the small eigenvalues of
answers that nearly agree. Gradients flow through eigenvalues only, never through eigenvectors.

Shapes: B answer sets, L layers (1 in the black-box setting), N answers (padded to the longest set; ``mask``
says which are real), d vector length, K reference size of the spectrum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from sgpu_lightning.errors import SGPUError

GramKernel = Literal["linear", "rbf"]
_BLOCK_ELEMENTS = 2**18  # 2 MiB of float64, about one core's cache: 2 to 3 times the speed of one large copy


def cosine_gram(vectors: Tensor, last: Tensor | None = None) -> Tensor:
    """Cosine similarity of every pair of rows.

    Args:
        vectors: Float tensor [..., N, d], of any float dtype; rows need not be normalised.
        last: One more row after the others, [..., d]; joined block by block, which one large copy is slower than.

    Returns:
        Float64 [..., N, N], or [..., N + 1, N + 1] with ``last``, with unit diagonal where the row is not zero; rows
        and columns of zero rows are 0.

    Raises:
        SGPUError: If a vector is not finite.
    """
    device_type = "cpu" if vectors.device.type == "mps" else vectors.device.type
    with torch.autocast(device_type=device_type, enabled=False):
        # MPS has no float64: the sets are small, the CPU is fast enough.
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


def gram(
    cosines: Tensor, mask: Tensor | None = None, *, kernel: GramKernel = "linear", gamma: Tensor | float = 1.0
) -> Tensor:
    """The trace-normalised Gram matrix Sigma / n, whose eigenvalues sum to 1.

    Args:
        cosines: From `cosine_gram`, [..., N, N].
        mask: Bool [..., N], True for real answers; None where all are.
        kernel: ``linear``: cos(z_i, z_j). ``rbf``: exp(-gamma |z_i - z_j|^2) of the unit vectors.
        gamma: Bandwidth of the RBF kernel, > 0.

    Returns:
        Float64 [..., N, N]; rows and columns of masked answers are 0 and add only zero eigenvalues.
    """
    similarities = cosines if kernel == "linear" else torch.exp(-2.0 * gamma * (1.0 - cosines))
    if mask is None:
        return similarities / cosines.shape[-1]
    real = mask.to(similarities.dtype)
    count = real.sum(-1)[..., None, None]
    return similarities * real.unsqueeze(-1) * real.unsqueeze(-2) / count


def eigenspectrum(matrix: Tensor) -> Tensor:
    """Eigenvalues of a symmetric matrix, largest first, round-off below 0 clamped.

    All answers agree: (1, 0, ..., 0). All unrelated: (1/N, ..., 1/N). At repeated eigenvalues the gradient of
    a function that weighs positions differently is one of its subgradients.

    Args:
        matrix: [..., N, N].

    Returns:
        [..., N], descending, >= 0.
    """
    return torch.linalg.eigvalsh(matrix).flip(-1).clamp_min(0.0)


def reference_spectrum(spectrum: Tensor, counts: Tensor, size: int) -> Tensor:
    """Map spectra of n eigenvalues to ``size`` values that mean the same for every n.

    The identity at n = size. The limits agree for every n: all agree gives (1, 0, ..., 0), all unrelated
    (1/size, ..., 1/size); the values always sum to 1 up to interpolation. The first value rescales the
    excess of the largest eigenvalue over 1/n; the others are the remaining eigenvalues read off, by linear
    interpolation, at ``size - 1`` even ranks and scaled by n / size.

    Args:
        spectrum: [B, N], descending; entries from the set's n on are ignored.
        counts: Number of answers n of each set, int64 [B], each >= 2.
        size: K >= 3.

    Returns:
        [B, K].
    """
    n = counts.to(spectrum.dtype).unsqueeze(-1)
    excess = (n * spectrum[:, :1] - 1.0) / (n - 1.0)
    first = 1.0 / size + (1.0 - 1.0 / size) * excess
    ranks = 1.0 + torch.linspace(0, 1, size - 1, dtype=spectrum.dtype, device=spectrum.device) * (n - 2.0)
    rest = _read_at(spectrum, ranks, counts) * n / size
    return torch.cat([first, rest], dim=-1)


def reference_order(values: Tensor, counts: Tensor, size: int) -> Tensor:
    """Read n sorted values off at ``size`` even ranks, by linear interpolation.

    Args:
        values: [B, N], sorted; entries from the set's n on are ignored.
        counts: n of each set, int64 [B].
        size: K >= 2.

    Returns:
        [B, K].
    """
    steps = torch.linspace(0, 1, size, dtype=values.dtype, device=values.device)
    return _read_at(values, steps * (counts.to(values.dtype).unsqueeze(-1) - 1.0), counts)


def _read_at(values: Tensor, ranks: Tensor, counts: Tensor) -> Tensor:
    """Linear interpolation of ``values`` [B, N] at fractional ``ranks`` [B, K], each at most counts - 1."""
    last = (counts - 1).unsqueeze(-1)
    # Round-off in linspace must not turn a whole rank into two neighbours with a weight of 1e-16.
    ranks = torch.where((ranks - ranks.round()).abs() < 1e-9, ranks.round(), ranks)
    below = torch.minimum(ranks.floor().long(), last)
    above = torch.minimum(below + 1, last)
    weight = ranks - below
    return values.gather(1, below) * (1.0 - weight) + values.gather(1, above) * weight
