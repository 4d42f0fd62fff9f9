"""The Gram matrix and its eigenspectrum against closed forms, NumPy and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sgpu_lightning.features.gram_kernels import cosine_gram, gram_matrix
from sgpu_lightning.features.spectrum import eigenspectrum, reference_order, reference_spectrum


def spectrum_of(vectors: torch.Tensor, **kwargs) -> torch.Tensor:
    return eigenspectrum(gram_matrix(cosine_gram(vectors), **kwargs))


@pytest.mark.parametrize("n", [2, 5, 10, 20])
def test_equal_answers_have_one_eigenvalue(n):
    vector = torch.randn(1, 1, 16, dtype=torch.float64)
    expected = torch.zeros(1, n, dtype=torch.float64)
    expected[0, 0] = 1.0
    torch.testing.assert_close(spectrum_of(vector.repeat(1, n, 1)), expected, atol=1e-14, rtol=0)


@pytest.mark.parametrize("n", [2, 5, 10, 20])
def test_orthogonal_answers_have_a_flat_spectrum(n):
    vectors = 3.0 * torch.eye(n, dtype=torch.float64).unsqueeze(0)
    torch.testing.assert_close(spectrum_of(vectors), torch.full((1, n), 1.0 / n, dtype=torch.float64))


def test_two_orthogonal_clusters_have_their_shares_as_eigenvalues():
    vectors = torch.eye(2, dtype=torch.float64)[[0, 0, 0, 1, 1, 0, 0]].unsqueeze(0)
    expected = torch.tensor([[5 / 7, 2 / 7, 0, 0, 0, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(spectrum_of(vectors), expected, atol=1e-14, rtol=0)


def test_two_answers_at_an_angle_have_eigenvalues_one_plus_and_minus_the_cosine_over_two():
    c = 0.3
    vectors = torch.tensor([[[1.0, 0.0], [c, (1 - c * c) ** 0.5]]], dtype=torch.float64)
    torch.testing.assert_close(spectrum_of(vectors), torch.tensor([[(1 + c) / 2, (1 - c) / 2]], dtype=torch.float64))


def test_rbf_gram_has_its_definition():
    vectors = torch.randn(3, 4, 6, dtype=torch.float64)
    unit = torch.nn.functional.normalize(vectors, dim=-1)
    expected = torch.exp(-0.7 * torch.cdist(unit, unit).square()) / 4
    torch.testing.assert_close(gram_matrix(cosine_gram(vectors), gram_kernel="rbf", gamma=0.7), expected)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_eigenvalues_are_numpys_sum_to_one_and_descend(kernel):
    vectors = torch.randn(4, 9, 5, dtype=torch.float64)
    matrix = gram_matrix(cosine_gram(vectors), gram_kernel=kernel)
    ours = eigenspectrum(matrix)
    reference = np.linalg.eigvalsh(matrix.numpy())[:, ::-1].clip(min=0)
    np.testing.assert_allclose(ours.numpy(), reference, atol=1e-13)
    torch.testing.assert_close(ours.sum(-1), torch.ones(4, dtype=torch.float64))
    assert (ours.diff(dim=-1) <= 0).all()


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_padding_changes_nothing(kernel):
    vectors = torch.randn(1, 4, 6, dtype=torch.float64)
    padded = torch.cat([vectors, torch.zeros(1, 3, 6, dtype=torch.float64)], dim=1)
    mask = torch.arange(7).unsqueeze(0) < 4
    masked = spectrum_of(padded, mask=mask, gram_kernel=kernel)
    torch.testing.assert_close(masked[:, :4], spectrum_of(vectors, gram_kernel=kernel))
    assert (masked[:, 4:].abs() < 1e-14).all()


def test_float32_vectors_of_one_direction_leave_no_noise_above_float64():
    vectors = torch.randn(1, 1, 384).repeat(1, 10, 1)
    assert spectrum_of(vectors)[0, 1:].max() < 1e-14


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_vectors_are_computed_in_float64(dtype):
    assert spectrum_of(torch.randn(2, 5, 8).to(dtype)).dtype == torch.float64


def test_autocast_does_not_reach_the_gram_matrix():
    vectors = torch.randn(2, 5, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = spectrum_of(vectors)
    torch.testing.assert_close(inside, spectrum_of(vectors), atol=0, rtol=0)


def test_blocks_do_not_show():
    vectors = torch.randn(700, 10, 384)
    torch.testing.assert_close(cosine_gram(vectors)[613], cosine_gram(vectors[613:614])[0], atol=1e-15, rtol=0)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_vectors_that_are_not_finite_are_refused(bad):
    vectors = torch.randn(2, 5, 8)
    vectors[1, 2, 3] = bad
    with pytest.raises(ValueError, match="vectors: expected finite numbers, got NaN or infinity"):
        cosine_gram(vectors)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_gradients_through_gram_and_eigenvalues_are_right(kernel):
    vectors = torch.randn(2, 5, 7, dtype=torch.float64, requires_grad=True)
    gamma = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True] * 5, [True] * 4 + [False]])

    def log_spectrum(v, g):
        spectrum = eigenspectrum(gram_matrix(cosine_gram(v), mask, gram_kernel=kernel, gamma=g))
        return reference_spectrum(spectrum, mask.sum(1), 6).clamp_min(1e-4).log()

    inputs = (vectors, gamma) if kernel == "rbf" else (vectors, gamma.detach())
    assert torch.autograd.gradcheck(log_spectrum, inputs)


def test_gradients_at_full_agreement_are_finite():
    vectors = torch.ones(1, 10, 8, dtype=torch.float64, requires_grad=True)
    eigenspectrum(gram_matrix(cosine_gram(vectors))).clamp_min(1e-4).log().sum().backward()
    assert torch.isfinite(vectors.grad).all()


class TestReferenceSpectrum:
    """Spectra of any n on one scale."""

    @pytest.mark.parametrize("n", [2, 3, 5, 10, 17, 40])
    @pytest.mark.parametrize("size", [3, 10])
    def test_limits_agree_for_every_n(self, n, size):
        agree, differ = torch.zeros(2, 1, 40, dtype=torch.float64)
        agree[0, 0], differ[0, :n] = 1.0, 1.0 / n
        counts = torch.tensor([n])
        expected = torch.zeros(1, size, dtype=torch.float64)
        expected[0, 0] = 1.0
        torch.testing.assert_close(reference_spectrum(agree, counts, size), expected)
        flat = torch.full((1, size), 1.0 / size, dtype=torch.float64)
        torch.testing.assert_close(reference_spectrum(differ, counts, size), flat)

    def test_is_the_identity_at_the_reference_size(self):
        spectrum = torch.rand(5, 10, dtype=torch.float64).sort(descending=True).values
        spectrum = spectrum / spectrum.sum(-1, keepdim=True)
        torch.testing.assert_close(reference_spectrum(spectrum, torch.full((5,), 10), 10), spectrum)

    def test_ignores_what_is_past_the_sets_own_answers(self):
        spectrum = torch.tensor([[0.7, 0.2, 0.1, 0.0, 0.0]], dtype=torch.float64)
        junk = torch.tensor([[0.7, 0.2, 0.1, 9.0, 9.0]], dtype=torch.float64)
        counts = torch.tensor([3])
        torch.testing.assert_close(reference_spectrum(junk, counts, 6), reference_spectrum(spectrum, counts, 6))


def test_reference_order_interpolates_like_numpy():
    values = torch.tensor([[9.0, 7.0, 4.0, 1.0, -5.0]], dtype=torch.float64)
    expected = np.interp(np.linspace(0, 3, 7), np.arange(4), [9.0, 7.0, 4.0, 1.0])
    np.testing.assert_allclose(reference_order(values, torch.tensor([4]), 7)[0].numpy(), expected)
