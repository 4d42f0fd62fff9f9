"""The best posterior and its bound against GPyTorch, SciPy and finite differences."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, stats

from sgpu_lightning import AnswerDataModule
from sgpu_lightning.gp.classifier import GPClassifier
from sgpu_lightning.gp.hyperparameters import KERNEL_SETS, fit_classifier, kernel_optimizer, kernel_sets
from sgpu_lightning.gp.inference import Observed, Posterior, Projection, best_posterior, bound, expected_log_prob
from sgpu_lightning.training.fitting import fit
from tests.toy import toy_store


def data(count: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(count, 4, generator=generator, dtype=torch.float64)
    labels = (features[:, 0] + features[:, 1].sin() + 0.5 * torch.randn(count, generator=generator) > 0).double()
    return features, labels


def prior(size: int) -> Posterior:
    return Posterior(torch.zeros(size, dtype=torch.float64), torch.eye(size, dtype=torch.float64))


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


def test_the_evidence_is_gpytorchs_elbo_at_its_posterior():
    features, labels = data()
    classifier = GPClassifier.from_features(features, 24)
    ours = classifier.evidence(features, labels).item()
    with torch.no_grad():
        theirs = classifier.elbo(features, labels, len(labels)).item()
    assert ours == pytest.approx(theirs, abs=1e-4)  # GPyTorch's own log Phi is off by up to 2e-3 in the tail


def test_no_gradient_step_on_the_variational_parameters_raises_gpytorchs_elbo():
    features, labels = data()
    classifier = GPClassifier.from_features(features, 24)
    classifier.evidence(features, labels)
    classifier.train()
    classifier.elbo(features, labels, len(labels)).backward()
    kept = classifier.latent.variational_strategy._variational_distribution
    assert kept.variational_mean.grad.abs().max() < 1e-4
    assert kept.chol_variational_covar.grad.tril().abs().max() < 1e-4


def test_the_best_posterior_is_what_a_general_optimiser_finds():
    generator = torch.Generator().manual_seed(1)
    design = torch.randn(2, 40, generator=generator, dtype=torch.float64)
    given = Projection(design, torch.full((40,), 0.3).double(), torch.full((40,), 0.2).double())
    sign = Observed.of((design[0] + 0.3 * torch.randn(40, generator=generator).double() > 0).double())

    def negative(values: np.ndarray) -> float:
        root = torch.tensor([[np.exp(values[2]), 0.0], [values[3], np.exp(values[4])]])
        return -bound(given, Posterior(torch.tensor(values[:2]), root @ root.mT), sign).item()

    found = optimize.minimize(
        negative, np.zeros(5), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxfev": 8000}
    )
    best = best_posterior(given, prior(2), sign)
    assert -bound(given, best, sign).item() == pytest.approx(found.fun, abs=1e-7)
    np.testing.assert_allclose(best.mean.numpy(), found.x[:2], atol=1e-4)


def test_the_bounds_gradient_is_that_of_the_profiled_evidence():
    features, labels = data(80)
    classifier = GPClassifier.from_features(features, 12)
    classifier.evidence(features, labels).backward()
    for parameter in classifier.kernel_parameters():
        flat, gradient = parameter.data.view(-1), parameter.grad.view(-1)
        for i in range(len(flat)):
            values = []
            for step in (1e-4, -1e-4):
                flat[i] += step
                values.append(classifier.evidence(features, labels).item())
                flat[i] -= step
            assert gradient[i].item() == pytest.approx((values[0] - values[1]) / 2e-4, abs=1e-6)


def test_a_set_of_weight_two_counts_as_two_equal_sets():
    features, labels = data(60)
    twice = torch.arange(60) < 20
    doubled = torch.cat([features, features[twice]]), torch.cat([labels, labels[twice]])
    weighted = GPClassifier.from_features(features, 12)
    repeated = copy.deepcopy(weighted)
    ours = weighted.evidence(features, labels, 1.0 + twice.double())
    theirs = repeated.evidence(*doubled)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-9)
    p = (one.freeze()(features).p_correct for one in (weighted, repeated))
    torch.testing.assert_close(*p, atol=1e-6, rtol=0)


def test_labels_a_line_separates_still_have_a_finite_posterior():
    design = torch.randn(5, 200, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 30
    given = Projection(design, torch.full((200,), 1e-9).double(), torch.zeros(200).double())
    sign = Observed.of((design[0] > 0).double())
    best = best_posterior(given, prior(5), sign)
    assert torch.isfinite(bound(given, best, sign))
    assert bound(given, best, sign) > bound(given, prior(5), sign)


@pytest.mark.parametrize("kernel", ["rbf", "matern12", "matern32", "matern52"])
def test_learning_the_kernel_raises_the_evidence(kernel):
    features, labels = data()
    classifier = GPClassifier.from_features(features, 24, kernel, widths=[1, 3])
    optimizer = kernel_optimizer(classifier)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = -classifier.evidence(features, labels)
        value.backward()
        return value

    before = classifier.evidence(features, labels).item()
    optimizer.step(loss)
    assert classifier.evidence(features, labels).item() > before + 1e-3
    assert classifier.latent.log_length.shape == (2,)


def test_a_fit_without_a_trainer_is_that_of_the_module(tmp_path):
    toy_store(tmp_path / "store")
    data = AnswerDataModule(str(tmp_path / "store"), encoder=None)
    module = fit(data, out=tmp_path / "fit", enable_progress_bar=False).module
    batch = data.batch("train")
    extract = module.features
    ours = fit_classifier(batch.features, batch.label, extract.widths, agreement=extract.agreement)
    test = data.batch("test").features
    torch.testing.assert_close(ours.freeze()(test).p_correct, module.gp.freeze()(test).p_correct, atol=1e-6, rtol=0)


def test_the_kernel_of_very_many_sets_is_learned_on_some_of_them_and_the_posterior_on_all():
    some = kernel_sets(10_000)
    assert len(some) == len(set(some.tolist())) == KERNEL_SETS
    assert kernel_sets(10_000, 1).tolist() != some.tolist()
    assert kernel_sets(5).tolist() == list(range(5))
    features, labels = data(6000)
    all_of_them = fit_classifier(features, labels, num_inducing=16)
    few = fit_classifier(features[kernel_sets(6000)], labels[kernel_sets(6000)], num_inducing=16)
    wide, narrow = (classifier.freeze()(features).latent_variance.mean() for classifier in (few, all_of_them))
    assert narrow < wide
