"""GP kernels: one table gives the names, the formulas and the GPyTorch forms."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from sklearn.gaussian_process.kernels import RBF, Matern

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.gp.kernels import KernelName, correlation, gpytorch_kernel, kernel_names, require_kernel

SCIKIT_LEARN = {
    "rbf": RBF(1.0),
    "matern12": Matern(1.0, nu=0.5),
    "matern32": Matern(1.0, nu=1.5),
    "matern52": Matern(1.0, nu=2.5),
}


def rows() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(count, 3, dtype=torch.float64, generator=generator) for count in (7, 5))
    return a, torch.cat([b, a[:1]])  # one row is in both


def test_the_annotated_names_are_those_of_the_table():
    assert get_args(KernelName) == kernel_names()
    assert set(SCIKIT_LEARN) == set(kernel_names())


@pytest.mark.parametrize("kernel", kernel_names())
def test_a_formula_is_scikit_learns_and_gpytorchs_kernel(kernel):
    a, b = rows()
    ours = correlation(a, b, kernel)
    torch.testing.assert_close(ours, torch.from_numpy(SCIKIT_LEARN[kernel](a.numpy(), b.numpy())), atol=1e-12, rtol=0)
    theirs = gpytorch_kernel(kernel)(a, b).to_dense()
    torch.testing.assert_close(ours, theirs, atol=1e-7, rtol=0)  # GPyTorch clamps distances from below


@pytest.mark.parametrize("kernel", kernel_names())
def test_a_gpytorch_kernel_has_a_fixed_length_scale_of_one_in_float64(kernel):
    module = gpytorch_kernel(kernel)
    assert module.lengthscale.item() == pytest.approx(1.0, abs=1e-15)
    assert {tensor.dtype for tensor in module.state_dict().values()} == {torch.float64}
    assert not any(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize("kernel", ["rbf", "matern32", "matern52"])
def test_a_kernel_is_differentiable_where_rows_coincide(kernel):
    """The Matern 1/2 kernel has a cusp there."""
    a, b = rows()
    assert torch.autograd.gradcheck(lambda a: correlation(a, b, kernel), (a.requires_grad_(),), atol=1e-5)


@pytest.mark.parametrize("name", ["linear", "RBF", None, 3])
def test_an_unknown_kernel_is_refused_with_the_known_names(name):
    with pytest.raises(SGPUError, match="kernel: expected one of rbf, matern12, matern32, matern52, got"):
        require_kernel(name)
