"""The eigenspectrum of a Gram matrix, and its mapping to a fixed number of values.

Gradients flow through eigenvalues only, never through eigenvectors.

Shapes: B answer sets, N answers (padded to the longest set), K reference number of answers.
"""

from __future__ import annotations

import torch
from torch import Tensor


def eigenspectrum(matrix: Tensor) -> Tensor:
    """Eigenvalues of a symmetric matrix in descending order; negative round-off is clamped to 0.

    If all answers agree the spectrum is (1, 0, ..., 0); if all are unrelated it is (1/N, ..., 1/N). At repeated
    eigenvalues, the gradient of a function that weights positions differently is one of its subgradients.

    Args:
        matrix: [..., N, N].

    Returns:
        [..., N], descending, >= 0.
    """
    return torch.linalg.eigvalsh(matrix).flip(-1).clamp_min(0.0)


def reference_spectrum(spectrum: Tensor, counts: Tensor, size: int) -> Tensor:
    """Map spectra of n eigenvalues to ``size`` values that have the same meaning for every n.

    The mapping is the identity at n = size. The limits are the same for every n: (1, 0, ..., 0) where all answers
    agree, (1/size, ..., 1/size) where all are unrelated. The values sum to 1 up to interpolation. The first value
    rescales the excess of the largest eigenvalue over 1/n. The others are the remaining eigenvalues, linearly
    interpolated at ``size - 1`` evenly spaced ranks and scaled by n / size.

    Args:
        spectrum: [B, N], descending; entries from index n on are ignored.
        counts: Number of answers n of each set, int64 [B], each >= 2.
        size: Reference number of answers K, at least 3.

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
    """Linearly interpolate n sorted values at ``size`` evenly spaced ranks.

    Args:
        values: [B, N], sorted; entries from index n on are ignored.
        counts: Number of values n of each set, int64 [B].
        size: Number of ranks K, at least 2.

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
