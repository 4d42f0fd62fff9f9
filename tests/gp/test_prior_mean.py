"""The prior mean: agreement of the answers, and a predictor fitted elsewhere."""

from __future__ import annotations

import math

import pytest
import torch

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.gp.classifier import GPClassifier
from sgpu_lightning.gp.frozen.frozen_gp import FrozenGP
from sgpu_lightning.gp.hyperparameters import fit_classifier
from sgpu_lightning.metrics.functional import auroc
from tests.gp.reference import gpytorch_prediction
from tests.gp.test_classifier import KERNELS


def agreeing(count=60, seed=0):
    """Two blocks: the first measures agreement, which is correlated with the label; the second is noise."""
    generator = torch.Generator().manual_seed(seed)
    agree = torch.randn(count, 1, generator=generator, dtype=torch.float64)
    noise = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    labels = (
        torch.rand(count, generator=generator, dtype=torch.float64) < torch.special.ndtr(1.5 * agree[:, 0])
    ).double()
    return torch.cat([3.0 * agree + 7.0, noise], dim=1), labels


SIGNS = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)


def test_the_prior_says_that_agreement_is_right_before_any_label_is_seen():
    features, _ = agreeing()
    classifier = GPClassifier.from_features(features, 10, widths=[1, 2], agreement=SIGNS)
    p = classifier.freeze()(features).p_correct
    assert torch.equal(p.argsort(), features[:, 0].argsort())
    flipped = GPClassifier.from_features(features, 10, widths=[1, 2], agreement=-SIGNS)
    torch.testing.assert_close(flipped.freeze()(features).p_correct, 1 - p)


def test_a_basis_function_is_in_units_of_its_own_deviation_and_other_blocks_have_none():
    features, _ = agreeing()
    classifier = GPClassifier.from_features(features, 10, widths=[1, 2], agreement=SIGNS)
    values = classifier.latent.mean_basis(classifier.standardise(features))
    assert values.shape == (60, 1)
    assert values.std(correction=0).item() == pytest.approx(1.0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_frozen_prediction_with_a_basis_function_is_gpytorchs(kernel):
    features, labels = agreeing()
    classifier = fit_classifier(features, labels, [1, 2], kernel=kernel, agreement=SIGNS).eval()
    with torch.no_grad():
        ours, theirs = classifier.freeze()(features), gpytorch_prediction(classifier, features)
    torch.testing.assert_close(ours.latent_mean, theirs.latent_mean, atol=1e-9, rtol=0)
    torch.testing.assert_close(ours.latent_variance, theirs.latent_variance, atol=1e-9, rtol=0)


def test_mean_weights_get_gradients_and_labels_move_them():
    features, labels = agreeing(400)
    start = GPClassifier.from_features(features, 20, widths=[1, 2], agreement=SIGNS)
    (-start.collapsed_elbo(features, labels)).backward()
    assert start.latent.mean_weights.grad.abs().item() > 1e-6
    against = fit_classifier(features, 1 - labels, [1, 2], agreement=SIGNS)
    along = fit_classifier(features, labels, [1, 2], agreement=SIGNS)
    assert against.latent.mean_weights.item() < along.latent.mean_weights.item()


def test_few_labels_rank_better_with_the_prior_than_without():
    features, labels = agreeing(2000)
    wins = 0
    for seed in range(5):
        rows = torch.randperm(2000, generator=torch.Generator().manual_seed(seed))
        few, others = rows[:12], rows[12:]
        fits = (fit_classifier(features[few], labels[few], [1, 2], agreement=signs) for signs in (SIGNS, None))
        with_prior, without = (auroc(fit.freeze()(features[others]).p_correct, labels[others]) for fit in fits)
        wins += bool(with_prior >= without)
    assert wins >= 4


# A warm start


def test_a_warm_start_without_much_data_predicts_what_the_other_predictor_does():
    features, labels = agreeing(1000)
    base = fit_classifier(features, labels, [1, 2], agreement=SIGNS).freeze()
    few, few_labels = agreeing(8, seed=1)
    cold = fit_classifier(few, few_labels, [1, 2]).freeze()(features).p_correct
    warm = fit_classifier(few, few_labels, [1, 2], warm_start=base).freeze()(features).p_correct
    expected = base(features).p_correct
    assert (warm - expected).abs().mean() < 0.5 * (cold - expected).abs().mean()


def test_a_priori_the_other_predictor_and_agreement_have_half_of_the_weight_each():
    features, labels = agreeing(400)
    base = fit_classifier(features, labels, [1, 2], agreement=SIGNS).freeze()
    both, alone, agreed = (
        GPClassifier.from_features(features, 10, widths=[1, 2], agreement=signs, warm_start=start).latent
        for signs, start in ((SIGNS, base), (None, base), (SIGNS, None))
    )
    x = (features - features.mean(0)) / features.std(0, correction=0)
    torch.testing.assert_close(both.mean(x), 0.5 * (alone.mean(x) + agreed.mean(x)))
    torch.testing.assert_close(alone.mean(x), base.latent_mean(features))


def test_few_labels_hardly_move_the_proportion_of_right_answers_and_many_do():
    features, labels = agreeing(1000)
    base = fit_classifier(features, labels, [1, 2], agreement=SIGNS).freeze()
    rare = labels * (torch.rand(1000, generator=torch.Generator().manual_seed(3)) < 0.3)  # 30 % of the right stay right
    proportions = [base(features).p_correct.mean()]
    for count in (8, 1000):
        warm = fit_classifier(features[:count], rare[:count], [1, 2], warm_start=base).freeze()
        proportions.append(warm(features).p_correct.mean())
    assert proportions[0] - proportions[1] < 0.1
    assert abs(proportions[2] - rare.mean()) < 0.03


def test_only_a_warm_start_has_a_prior_on_the_constant():
    features, labels = agreeing(100)
    base = fit_classifier(features, labels, [1, 2], agreement=SIGNS).freeze()
    for start, expected in ((base, -2.0 * math.log1p(0.2**2 / 0.1**2 / 3.0)), (None, 0.0)):
        latent = GPClassifier.from_features(features, 10, widths=[1, 2], agreement=SIGNS, warm_start=start).latent
        before = latent.log_prior()
        with torch.no_grad():
            latent.mean_module.constant.fill_(0.2)
        assert (latent.log_prior() - before).item() == pytest.approx(expected)


def test_labels_that_contradict_the_other_predictor_outweigh_it():
    features, labels = agreeing(1000)
    base = fit_classifier(features, 1 - labels, [1, 2], agreement=-SIGNS).freeze()
    warm = fit_classifier(features, labels, [1, 2], warm_start=base).freeze()
    assert auroc(base(features).p_correct, labels) < 0.3
    assert auroc(warm(features).p_correct, labels) > 0.8


@pytest.mark.parametrize("agreement", [None, SIGNS], ids=["alone", "beside agreement"])
@pytest.mark.parametrize("kernel", ["rbf", "matern32"])
def test_a_warm_started_prediction_is_gpytorchs_and_survives_a_state_dict(kernel, agreement):
    features, labels = agreeing(100)
    base = fit_classifier(features, labels, [1, 2], kernel=kernel, agreement=SIGNS).freeze()
    classifier = fit_classifier(*agreeing(50, seed=2), [1, 2], warm_start=base, agreement=agreement).eval()
    frozen = classifier.freeze()
    with torch.no_grad():
        expected = gpytorch_prediction(classifier, features)
    torch.testing.assert_close(frozen(features).latent_mean, expected.latent_mean, atol=1e-10, rtol=0)
    empty = FrozenGP.of_shape(**frozen.settings)
    empty.load_state_dict(frozen.state_dict(), strict=True)
    torch.testing.assert_close(empty(features).p_correct, frozen(features).p_correct, atol=0, rtol=0)


def test_a_warm_start_on_other_features_is_refused():
    features, labels = agreeing()
    base = fit_classifier(features, labels, [1, 2]).freeze()
    with pytest.raises(SGPUError, match="warm start: expected a predictor on the same 2 features, got one on 3"):
        fit_classifier(features[:, :2], labels, warm_start=base)


def test_absurd_scales_are_held_in_range():
    """A line search may try any number: the kernel matrix must stay positive definite."""
    features, labels = agreeing()
    classifier = GPClassifier.from_features(features, 30, widths=[1, 2])
    with torch.no_grad():
        classifier.latent.log_length.fill_(80.0)
        classifier.latent.log_output.fill_(300.0)
    assert torch.isfinite(classifier.collapsed_elbo(features, labels))


def test_a_basis_function_is_constant_beyond_the_range_of_the_training_sets():
    """Far outside, a straight line would predict with certainty for answer sets of which nothing is known."""
    features, labels = agreeing(300)
    frozen = fit_classifier(features, labels, [1, 2], agreement=SIGNS).freeze()
    edge = features[features[:, 0].argmax()].clone()
    far, farther = edge.clone(), edge.clone()
    far[0], farther[0] = edge[0] + 1e3, edge[0] + 1e6
    at, on = frozen(torch.stack([far, farther])), frozen(edge.unsqueeze(0))
    assert at.latent_mean[0].item() == pytest.approx(at.latent_mean[1].item())
    assert at.latent_mean[0].item() == pytest.approx(on.latent_mean.item(), abs=0.5)
