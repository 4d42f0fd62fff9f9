"""The GP's kernels between feature vectors: their names, formulas and GPyTorch forms.

To add a kernel, add a row to `_KERNELS` and its name to `KernelName`. Gram kernels, which compare the vectors of one
answer set, are in `sgpu_lightning.features.gram_kernels`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor

from sgpu_lightning.errors import SGPUError, show_value

KernelName = Literal["rbf", "matern12", "matern32", "matern52"]  # literal, so that the command line shows the choices


class _Kernel(NamedTuple):
    """One kernel, with unit variance and unit length scale.

    Args:
        correlation: k(a, b) [n, m] between rows a [n, F] and b [m, F].
        in_gpytorch: Makes the same kernel in GPyTorch.
    """

    correlation: Callable[[Tensor, Tensor], Tensor]
    in_gpytorch: Callable[[], Any]


def _rbf(a: Tensor, b: Tensor) -> Tensor:
    # |a - b|^2 = |a|^2 + |b|^2 - 2 a b: a matrix product is faster than distances, and equally exact because no square
    # root is taken.
    half_squares = 0.5 * a.square().sum(-1, keepdim=True), 0.5 * b.square().sum(-1)
    return torch.exp(a @ b.mT - half_squares[0] - half_squares[1])


def _rbf_in_gpytorch() -> Any:
    from gpytorch.kernels import RBFKernel

    return RBFKernel()


def _matern(smoothness: float, polynomial: Callable[[Tensor], Tensor]) -> _Kernel:
    """A Matern kernel p(r) exp(-r) with r = sqrt(2 nu) |a - b|.

    Args:
        smoothness: nu.
        polynomial: p.
    """

    def correlation(a: Tensor, b: Tensor) -> Tensor:
        r = math.sqrt(2.0 * smoothness) * torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
        return polynomial(r) * torch.exp(-r)

    def in_gpytorch() -> Any:
        from gpytorch.kernels import MaternKernel

        return MaternKernel(nu=smoothness)

    return _Kernel(correlation, in_gpytorch)


_KERNELS: dict[str, _Kernel] = {
    "rbf": _Kernel(_rbf, _rbf_in_gpytorch),
    "matern12": _matern(0.5, torch.ones_like),
    "matern32": _matern(1.5, lambda r: 1.0 + r),
    "matern52": _matern(2.5, lambda r: 1.0 + r + r.square() / 3.0),
}


def kernel_names() -> tuple[KernelName, ...]:
    """The names of all kernels."""
    return cast("tuple[KernelName, ...]", tuple(_KERNELS))


def require_kernel(name: object) -> KernelName:
    """Return the name if it is the name of a kernel.

    Raises:
        SGPUError: If no kernel has this name.
    """
    if not isinstance(name, str) or name not in _KERNELS:
        raise SGPUError(f"kernel: expected one of {', '.join(_KERNELS)}, got {show_value(name)}")
    return cast("KernelName", name)


def correlation(a: Tensor, b: Tensor, kernel: KernelName) -> Tensor:
    """The kernel with unit variance, [n, m].

    Args:
        a: Rows divided by the length scales, [n, F].
        b: Rows divided by the length scales, [m, F].
        kernel: Name of the kernel.
    """
    return _KERNELS[kernel].correlation(a, b)


def gpytorch_kernel(kernel: KernelName) -> Any:
    """The kernel as a GPyTorch module, for rows divided by the length scales.

    Its own length scale is fixed at 1, and all its tensors are float64.
    """
    # float64 before the length scale is set: 1.0 set in float32 is not 1.0 after GPyTorch's softplus.
    module = _KERNELS[kernel].in_gpytorch().double()
    module.lengthscale = 1.0
    return module.requires_grad_(False)
