"""The GP classifier against GPyTorch, SciPy and itself after a round trip."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from sgpu_lightning.gp.classifier import GPClassifier
from sgpu_lightning.gp.frozen.prediction import Prediction
from sgpu_lightning.gp.inducing_points import kmeans_points
from sgpu_lightning.gp.kernels import kernel_names
from tests.gp.reference import gpytorch_prediction

KERNELS = kernel_names()


def fitted(kernel: str = "rbf", steps: int = 30) -> tuple[GPClassifier, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(300, 4, generator=generator, dtype=torch.float64) * 3 + 1
    labels = (features[:, 0] + features[:, 1].sin() > 1).double()
    classifier = GPClassifier.from_features(features, 24, kernel)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        (-classifier.elbo(features, labels, len(features))).backward()
        optimizer.step()
    return classifier.eval(), features, labels


@pytest.mark.parametrize("kernel", KERNELS)
def test_frozen_prediction_is_gpytorchs(kernel):
    classifier, features, _ = fitted(kernel)
    with torch.no_grad():
        reference = gpytorch_prediction(classifier, features)
        likelihood = classifier.likelihood(classifier.latent(classifier.standardise(features))).probs
    frozen = classifier.freeze()(features)
    for ours, theirs in zip(frozen, reference, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=0)
    torch.testing.assert_close(frozen.p_correct, likelihood, atol=1e-10, rtol=0)


def test_prediction_does_not_depend_on_batch_size():
    classifier, features, _ = fitted()
    frozen = classifier.freeze()
    apart = Prediction.cat([frozen(row.unsqueeze(0)) for row in features[:20]])
    for together, single in zip(frozen(features[:20]), apart, strict=True):
        torch.testing.assert_close(together, single, atol=1e-12, rtol=0)


def test_entropies_add_up_and_are_not_negative():
    classifier, features, _ = fitted()
    prediction = classifier.freeze()(features)
    p = prediction.p_correct
    total = torch.special.entr(p) + torch.special.entr(1 - p)
    torch.testing.assert_close(prediction.data_entropy + prediction.mutual_information, total, atol=1e-6, rtol=0)
    assert (prediction.mutual_information >= 0).all()


def test_sets_unlike_the_training_sets_have_more_mutual_information():
    classifier, features, _ = fitted()
    frozen = classifier.freeze()
    seen, far = frozen(features), frozen(features + 1e3)
    assert far.mutual_information.min() > seen.mutual_information.median()
    assert far.latent_variance.min() > seen.latent_variance.max()


def test_elbo_rises_and_every_parameter_gets_a_gradient():
    classifier, features, labels = fitted(steps=0)
    classifier.train()
    before = classifier.elbo(features, labels, 300)
    before.backward()
    # At the prior m = 0 and S = I the inducing points and the kernel do not matter yet.
    trained, _, _ = fitted()
    trained.train()
    trained.zero_grad()
    loss = trained.elbo(features, labels, 300)
    loss.backward()
    for name, parameter in trained.named_parameters():
        if parameter.requires_grad and parameter.numel():  # a constant mean has no weights of basis functions
            assert parameter.grad is not None, name
            assert (parameter.grad != 0).any(), name
    assert loss > before


def test_elbo_is_the_sum_of_its_parts_by_hand():
    classifier, features, labels = fitted()
    latent = classifier.freeze()(features)
    mean, scale = latent.latent_mean.numpy(), latent.latent_variance.sqrt().numpy()
    signs = 2 * labels.numpy() - 1
    draws = np.random.default_rng(0).normal(size=(20_000, 1)) * scale + mean
    fit = stats.norm.logcdf(signs * draws).mean()
    posterior = classifier.latent.variational_strategy._variational_distribution
    m, root = posterior.variational_mean.detach().numpy(), posterior.chol_variational_covar.detach().tril().numpy()
    s = root @ root.T
    kl = 0.5 * (np.trace(s) + m @ m - len(m) - np.linalg.slogdet(s)[1])
    with torch.no_grad():
        ours = classifier.elbo(features, labels, 300).item()
    assert ours == pytest.approx(fit - kl / 300, abs=2e-3)


@pytest.mark.parametrize("kernel", KERNELS)
def test_state_round_trip_predicts_the_same_at_the_first_forward(kernel):
    classifier, features, _ = fitted(kernel, steps=5)
    points = classifier.latent.variational_strategy.inducing_points
    other = GPClassifier([4], len(points), kernel)
    other.load_state_dict(classifier.state_dict(), strict=True)
    with torch.no_grad():
        for predict in (GPClassifier.__call__, gpytorch_prediction):
            ours, theirs = (predict(one, features).p_correct for one in (other.eval(), classifier))
            torch.testing.assert_close(ours, theirs, atol=0, rtol=0)


def test_all_parameters_are_float64():
    classifier, _, _ = fitted(steps=0)
    assert {tensor.dtype for tensor in classifier.parameters()} == {torch.float64}


def test_constant_features_are_left_alone():
    features = torch.randn(50, 3, dtype=torch.float64)
    features[:, 1] = 2.0
    classifier = GPClassifier.from_features(features, 10)
    assert torch.isfinite(classifier.standardise(features)).all()
    assert (classifier.standardise(features)[:, 1] == 0).all()


def test_inducing_points_are_distinct_rows_and_no_more_than_there_are():
    few = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]).double()
    points = kmeans_points(few[torch.randint(3, (100,))], 64)
    torch.testing.assert_close(points.sort(0).values, few)
    many = kmeans_points(torch.randn(500, 2, dtype=torch.float64), 16)
    assert many.shape == (16, 2)
    assert len(torch.unique(many, dim=0)) == 16


def test_same_seed_gives_the_same_fit():
    first, features, _ = fitted()
    second, _, _ = fitted()
    torch.testing.assert_close(first.freeze()(features).p_correct, second.freeze()(features).p_correct, atol=0, rtol=0)


def test_unknown_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel: expected one of rbf, matern12, matern32, matern52, got str 'linear'"):
        GPClassifier([3], 4, "linear")  # type: ignore[arg-type]


def test_nan_features_are_refused():
    with pytest.raises(ValueError, match="features: expected finite numbers, got NaN"):
        GPClassifier.from_features(torch.full((4, 2), torch.nan), 2)
