from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sgpu_lightning.baselines import ScoreInputs, get_score
from tests.baselines.helpers import random_inputs, records_of

COUNTS = [2, 5, 10]


def inputs_of(vectors: torch.Tensor) -> ScoreInputs:
    answers = tuple(f"answer {i}" for i in range(vectors.shape[1]))
    return ScoreInputs(records=records_of(*[answers] * len(vectors)), vectors=vectors)


def raw(name: str, vectors: torch.Tensor) -> float:
    return get_score(name).raw(inputs_of(vectors)).item()


def agreeing(n: int, dim: int = 12) -> torch.Tensor:
    return torch.full((1, n, dim), 0.3)


def orthogonal(n: int, dim: int = 12) -> torch.Tensor:
    return 3 * torch.eye(dim)[None, :n]


@pytest.mark.parametrize("n", COUNTS)
def test_von_neumann_entropy_at_the_limits(n):
    assert raw("von_neumann_entropy", agreeing(n)) == pytest.approx(0, abs=1e-10)
    assert raw("von_neumann_entropy", orthogonal(n)) == pytest.approx(math.log(n), abs=1e-12)
    assert raw("von_neumann_entropy_rbf", agreeing(n)) == pytest.approx(0, abs=1e-10)
    # Orthogonal unit vectors are sqrt(2) apart: eigenvalues (1 + (n - 1) e^-2) / n and (1 - e^-2) / n.
    near = math.exp(-2)
    eigenvalues = [(1 + (n - 1) * near) / n] + [(1 - near) / n] * (n - 1)
    expected = -sum(value * math.log(value) for value in eigenvalues)
    assert raw("von_neumann_entropy_rbf", orthogonal(n)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", COUNTS)
def test_logdet_is_finite_where_all_agree(n):
    expected = (math.log(n + 1e-6) + (n - 1) * math.log(1e-6)) / (2 * n)
    assert raw("logdet", agreeing(n)) == pytest.approx(expected, abs=1e-9)
    assert raw("logdet", orthogonal(n)) == pytest.approx(math.log1p(1e-6) / 2, abs=1e-12)


def test_logdet_is_that_of_numpy():
    inputs = random_inputs()
    got = get_score("logdet").raw(inputs)
    for i, record in enumerate(inputs.records):
        n = len(record.answers)
        unit = inputs.vectors[i, :n].numpy()
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        expected = np.linalg.slogdet(unit @ unit.T + 1e-6 * np.eye(n))[1] / (2 * n)
        assert got[i].item() == pytest.approx(expected, abs=1e-9)


def test_eigenscore_of_the_authors_is_that_of_numpy():
    inputs = random_inputs()
    got = get_score("eigenscore_inside").raw(inputs)
    for i, record in enumerate(inputs.records):
        vectors = inputs.vectors[i, : len(record.answers)].numpy()
        values = np.linalg.svd(np.cov(vectors) + 1e-3 * np.eye(len(vectors)), compute_uv=False)
        assert got[i].item() == pytest.approx(np.log10(values).mean(), abs=1e-10)


@pytest.mark.parametrize("n", COUNTS)
def test_eigenscore_in_closed_form(n):
    # Equal components leave nothing after centring.
    assert raw("eigenscore", agreeing(n)) == pytest.approx(math.log(1e-3), abs=1e-10)
    assert raw("eigenscore_inside", agreeing(n)) == pytest.approx(-3, abs=1e-10)
    # Centred a e_i: a^2 (I - 11^T / d), with eigenvalues a^2 and, once, a^2 (1 - n / d).
    square, dim = 9, 12
    eigenvalues = [square * (1 - n / dim)] + [square] * (n - 1)
    expected = sum(math.log(value + 1e-3) for value in eigenvalues) / n
    assert raw("eigenscore", orthogonal(n)) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("n", COUNTS)
def test_snne_in_closed_form(n):
    assert raw("snne", agreeing(n)) == pytest.approx(-10 - math.log(n), abs=1e-6)  # vectors in float32
    assert raw("snne", orthogonal(n)) == pytest.approx(-math.log(math.exp(10) + n - 1), abs=1e-10)


def test_snne_on_rouge_in_closed_form():
    inputs = ScoreInputs(records=records_of(("red", "red", "red"), ("red", "blue", "seven")))
    got = get_score("snne_rouge").raw(inputs)
    assert got.tolist() == pytest.approx([-1 - math.log(3), -math.log(math.e + 2)], abs=1e-12)


@pytest.mark.parametrize("name", ["eigenscore", "eigenscore_inside", "von_neumann_entropy", "logdet", "snne"])
def test_half_precision_vectors_are_computed_in_float64(name):
    vectors = random_inputs().vectors[:1, :5].half()
    assert raw(name, vectors) == pytest.approx(raw(name, vectors.double()), abs=1e-12)


@pytest.mark.parametrize("name", ["von_neumann_entropy", "logdet", "eigenscore", "snne"])
def test_vectors_that_are_not_finite_are_refused(name):
    from sgpu_lightning.errors import SGPUError

    vectors = orthogonal(3)
    vectors[0, 1, 0] = torch.nan
    with pytest.raises(SGPUError, match="vectors: expected finite numbers, got NaN or infinity"):
        raw(name, vectors)
