from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm, fractional_matrix_power

from sgpu_lightning.baselines import get_score
from sgpu_lightning.baselines.scores.graph import (
    degree,
    eccentricity,
    eigenvalue_sum,
    heat_entropy,
    matern_entropy,
    normalised_adjacency,
)
from tests.baselines.helpers import random_inputs


def agreeing(n: int) -> torch.Tensor:
    return torch.ones(1, n, n, dtype=torch.float64)


def unrelated(n: int) -> torch.Tensor:
    return torch.eye(n, dtype=torch.float64).unsqueeze(0)


def two_camps(n: int) -> torch.Tensor:
    """Half the answers equal, the other half equal, nothing between."""
    camp = torch.arange(n) < n // 2
    return (camp.unsqueeze(0) == camp.unsqueeze(1)).double().unsqueeze(0)


def plain_kernel_entropy(kernel: np.ndarray) -> float:
    scale = np.sqrt(np.diag(kernel))
    eigenvalues = np.linalg.eigvalsh(kernel / np.outer(scale, scale) / len(kernel))
    return float(-sum(value * math.log(value) for value in eigenvalues if value > 1e-15))


def laplacian(weights: np.ndarray) -> np.ndarray:
    return np.diag(weights.sum(1)) - weights


@pytest.mark.parametrize("n", [2, 3, 10, 20])
def test_eigenvalues_count_the_meanings(n):
    assert eigenvalue_sum(agreeing(n)).item() == pytest.approx(1, abs=1e-10)
    assert eigenvalue_sum(unrelated(n)).item() == pytest.approx(n, abs=1e-10)
    assert eigenvalue_sum(two_camps(n)).item() == pytest.approx(2, abs=1e-10)


@pytest.mark.parametrize("n", [2, 3, 10, 20])
def test_degree_and_eccentricity_at_the_limits(n):
    assert degree(agreeing(n)).item() == pytest.approx(0, abs=1e-10)
    assert degree(unrelated(n)).item() == pytest.approx(1 - 1 / n, abs=1e-10)
    assert eccentricity(agreeing(n)).item() == pytest.approx(0, abs=1e-10)
    assert eccentricity(unrelated(n)).item() == pytest.approx(math.sqrt(n - 1), abs=1e-10)


def test_the_normalised_laplacian_is_that_of_scipy():
    from scipy.sparse.csgraph import laplacian as scipy_laplacian

    weights = random_inputs().similarity
    expected = np.stack([np.eye(10) - scipy_laplacian(w - np.eye(10), normed=True) for w in weights.numpy()])
    # SciPy leaves self-loops out of the degrees: without them both are the same.
    got = normalised_adjacency(weights - torch.eye(10, dtype=torch.float64))
    assert np.abs(got.numpy() - expected).max() < 1e-12


def test_kernel_language_entropy_is_that_of_the_matrix_functions():
    for weights in random_inputs(seed=3).similarity:
        graph = laplacian(weights.numpy())
        heat = plain_kernel_entropy(expm(-0.3 * graph))
        assert heat_entropy(weights.unsqueeze(0)).item() == pytest.approx(heat, abs=1e-10)
        for nu, kappa in ((1.0, 1.0), (2.0, 3.0), (0.5, 1.0)):
            kernel = fractional_matrix_power(2 * nu / kappa**2 * np.eye(len(graph)) + graph, -nu)
            got = matern_entropy(weights.unsqueeze(0), nu, kappa).item()
            assert got == pytest.approx(plain_kernel_entropy(kernel), abs=1e-10)


@pytest.mark.parametrize("n", [2, 10])
def test_kernel_language_entropy_at_the_limits(n):
    # All agree: exp(-t L) has eigenvalues 1 and, n - 1 times, exp(-t n).
    low = math.exp(-0.3 * n)
    top = 1 / (1 + (n - 1) * low)
    rest = low / (1 + (n - 1) * low)
    expected = -top * math.log(top) - (n - 1) * rest * math.log(rest)
    assert heat_entropy(agreeing(n)).item() == pytest.approx(expected, abs=1e-10)
    assert 0 < expected < math.log(n)
    for entropy in (heat_entropy, matern_entropy):
        assert entropy(unrelated(n)).item() == pytest.approx(math.log(n), abs=1e-10)
        assert entropy(agreeing(n)).item() < entropy(two_camps(n)).item() <= math.log(n) + 1e-12


def test_an_elementwise_exponential_would_be_something_else():
    weights = agreeing(10)
    kernel = np.exp(-0.3 * laplacian(weights[0].numpy()))
    with np.errstate(invalid="ignore"):
        eigenvalues = np.linalg.eigvalsh(kernel)
    assert (eigenvalues < 0).any()  # no kernel at all
    assert heat_entropy(weights).item() > 0


@pytest.mark.parametrize("kind", ["jaccard", "cosine", "nli", "nli_contra", "given"])
def test_every_kind_of_weights_has_every_graph_score(kind):
    inputs = random_inputs()
    for score in ("eigv", "deg", "ecc", "kle_heat", "kle_matern"):
        values = get_score(f"{score}_{kind}").raw(inputs)
        assert torch.isfinite(values).all()
        assert (values >= 0).all()
        assert get_score(f"{score}_{kind}").sign == -1


def test_opposite_vectors_count_as_unrelated():
    from sgpu_lightning.baselines import ScoreInputs
    from tests.baselines.helpers import records_of

    vectors = torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]])
    inputs = ScoreInputs(records=records_of(("yes", "no")), vectors=vectors)
    assert get_score("eigv_cosine").raw(inputs).item() == pytest.approx(2, abs=1e-12)
    assert get_score("deg_cosine").raw(inputs).item() == pytest.approx(0.5, abs=1e-12)
