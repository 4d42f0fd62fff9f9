"""The Bernoulli-probit likelihood against numerical integration, closed forms and GPyTorch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gpytorch.distributions import MultivariateNormal
from scipy import integrate, stats

from sgpu_lightning.gp.frozen.prediction import Prediction
from sgpu_lightning.gp.likelihood import Observed, expected_log_prob, gauss_hermite, gpytorch_likelihood, p_correct


@pytest.mark.parametrize("order", [3, 16, 40])
def test_gauss_hermite_is_exact_for_the_moments_of_a_gaussian(order):
    nodes, weights = gauss_hermite(order, torch.ones(1, dtype=torch.float64))
    assert nodes.shape == weights.shape == (order,)
    mean, variance = 0.7, 1.9
    values = mean + math.sqrt(2.0 * variance) * nodes
    moments = [(values.pow(power) * weights).sum().item() for power in range(5)]
    expected = [stats.norm(mean, math.sqrt(variance)).moment(power) for power in range(5)]
    assert moments == pytest.approx(expected, rel=1e-12)


def test_p_correct_is_gpytorchs_marginal():
    mean, variance = torch.linspace(-3, 3, 7, dtype=torch.float64), torch.linspace(0.1, 5, 7, dtype=torch.float64)
    theirs = gpytorch_likelihood()(MultivariateNormal(mean, torch.diag(variance))).probs
    torch.testing.assert_close(p_correct(mean, variance), theirs, atol=1e-12, rtol=0)


@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.0), (1.3, 0.2), (-2.0, 4.0), (0.5, 1e-9)])
def test_closed_forms_match_numerical_integration(mean, variance):
    prediction = Prediction.from_latent(torch.tensor([mean]).double(), torch.tensor([variance]).double())
    density = stats.norm(mean, np.sqrt(variance))
    low, high = density.ppf(1e-15), density.isf(1e-15)

    def expect(function):
        area = integrate.quad(
            lambda f: function(stats.norm.cdf(f)) * density.pdf(f), low, high, epsabs=1e-12, limit=200
        )
        return area[0]

    p = expect(lambda q: q)
    data = expect(lambda q: stats.bernoulli(q).entropy())
    assert prediction.p_correct.item() == pytest.approx(p, abs=1e-8)
    assert prediction.data_entropy.item() == pytest.approx(data, abs=1e-5)
    information = max(float(stats.bernoulli(p).entropy()) - data, 0.0)
    assert prediction.mutual_information.item() == pytest.approx(information, abs=1e-5)


@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.0), (2.5, 0.3), (-3.0, 2.0), (40.0, 1.0), (-40.0, 1e-9)])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_expected_log_prob_is_the_integral(mean, variance, sign):
    at = (torch.tensor([value], dtype=torch.float64) for value in (mean, variance))
    found = expected_log_prob(*at, Observed.of(torch.tensor([float(sign > 0)])))
    density = stats.norm(mean, np.sqrt(variance))
    low, high = density.ppf(1e-14), density.isf(1e-14)
    area, _ = integrate.quad(lambda f: stats.norm.logcdf(sign * f) * density.pdf(f), low, high, epsabs=1e-13)
    assert found.value.item() == pytest.approx(area, rel=1e-6, abs=1e-8)


def test_slope_and_curvature_are_the_derivatives():
    mean = torch.linspace(-6, 6, 25, dtype=torch.float64)
    variance, sign = torch.full_like(mean, 0.7), Observed.of(torch.ones_like(mean))
    at = expected_log_prob(mean, variance, sign)
    step = 1e-4
    up, down = (expected_log_prob(mean + shift, variance, sign) for shift in (step, -step))
    torch.testing.assert_close(at.slope, (up.value - down.value) / (2 * step), atol=1e-7, rtol=0)
    torch.testing.assert_close(at.curvature, (up.slope - down.slope) / (2 * step), atol=1e-7, rtol=0)
    wider, narrower = (expected_log_prob(mean, variance + shift, sign) for shift in (step, -step))
    torch.testing.assert_close(at.curvature / 2, (wider.value - narrower.value) / (2 * step), atol=1e-6, rtol=0)
