"""Predictions through a classifier are differentiable, and a classifier can be copied at any time."""

from __future__ import annotations

import copy
import functools
import pickle

import pytest
import torch
from torch import Tensor

from sgpu_lightning.gp.classifier import GPClassifier
from sgpu_lightning.gp.hyperparameters import fit_classifier
from sgpu_lightning.gp.kernels import kernel_names
from sgpu_lightning.metrics.functional import negative_log_likelihood
from tests.gp.reference import gpytorch_prediction
from tests.gp.test_prior_mean import SIGNS, agreeing

FORMS = ["constant mean", "agreement", "warm start"]


def fitted(kernel: str = "rbf", form: str = "agreement") -> tuple[GPClassifier, Tensor, Tensor]:
    """A fitted classifier of its own for each call, and what it was fitted on."""
    return copy.deepcopy(fitted_once(kernel, form)), *agreeing(80)


@functools.cache
def fitted_once(kernel: str, form: str) -> GPClassifier:
    signs = None if form == "constant mean" else SIGNS
    base = fit_classifier(*agreeing(50, seed=1), [1, 2], agreement=SIGNS, num_inducing=6).freeze()
    start = base if form == "warm start" else None
    return fit_classifier(*agreeing(80), [1, 2], kernel=kernel, num_inducing=12, agreement=signs, warm_start=start)


def nll(p: Tensor, labels: Tensor) -> Tensor:
    return -torch.where(labels == 1, p, 1 - p).log().mean()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kernel", kernel_names())
def test_gradcheck_from_features_to_the_nll(kernel, form):
    classifier, features, labels = fitted(kernel, form)
    some = features[:6].clone()
    some[:, 1:] += 0.01  # no feature on the edge of a clipped range, no row on an inducing point
    inside = (features[:, 0] - features[:, 0].mean()).abs().argsort()[:6]  # not clipped at all
    some[:, 0] = features[inside, 0]
    loss = nll(classifier(some).p_correct.detach(), labels[:6])
    assert loss.item() == pytest.approx(negative_log_likelihood(classifier(some).p_correct, labels[:6]).item())
    for model in (classifier, classifier.freeze()):

        def loss_of(x: Tensor, model: torch.nn.Module = model) -> Tensor:
            return nll(model(x).p_correct, labels[:6])

        assert torch.autograd.gradcheck(loss_of, some.requires_grad_())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kernel", kernel_names())
def test_every_parameter_gets_the_gradient_that_gpytorch_gives(kernel, form):
    classifier, features, labels = fitted(kernel, form)
    features = features + 0.05  # no row on an inducing point, where the Matern 1/2 kernel has a cusp
    learned = {name: one for name, one in classifier.named_parameters() if one.requires_grad and one.numel()}
    classifier.train()  # in evaluation mode GPyTorch caches
    ours, theirs = (
        torch.autograd.grad(nll(predict(features).p_correct, labels), list(learned.values()))
        for predict in (classifier, lambda x: gpytorch_prediction(classifier, x))
    )
    for name, mine, reference in zip(learned, ours, theirs, strict=True):
        assert (mine != 0).any(), name
        torch.testing.assert_close(mine, reference, atol=1e-7, rtol=1e-5, msg=name)


@pytest.mark.parametrize("form", FORMS)
def test_the_classifier_predicts_the_frozen_forms_numbers_in_either_mode(form):
    classifier, features, _ = fitted(form=form)
    frozen = classifier.freeze()(features)
    for training in (True, False):
        for ours, theirs in zip(classifier.train(training)(features), frozen, strict=True):
            assert torch.equal(ours, theirs)
    assert classifier(features).p_correct.requires_grad
    assert not frozen.p_correct.requires_grad


def collapsed(classifier: GPClassifier, features: Tensor, labels: Tensor) -> None:
    classifier.collapsed_elbo(features, labels).backward()


def plain_elbo(classifier: GPClassifier, features: Tensor, labels: Tensor) -> None:
    classifier.elbo(features, labels, len(labels)).backward()


def predicted(classifier: GPClassifier, features: Tensor, labels: Tensor) -> None:
    nll(classifier(features).p_correct, labels).backward()


def gpytorch_predicted(classifier: GPClassifier, features: Tensor, labels: Tensor) -> None:
    nll(gpytorch_prediction(classifier, features).p_correct, labels).backward()


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("use", [collapsed, plain_elbo, predicted, gpytorch_predicted])
@pytest.mark.parametrize("form", FORMS)
def test_a_copy_after_any_use_predicts_the_same_and_goes_on_by_itself(form, use, training):
    classifier, features, labels = fitted(form=form)
    use(classifier.train(training), features, labels)
    before = classifier(features).p_correct.detach()
    copies = [copy.deepcopy(classifier), pickle.loads(pickle.dumps(classifier))]
    for one in copies:
        assert torch.equal(one(features).p_correct, before)
        fitted_again = one.collapsed_elbo(features, 1 - labels)
        assert torch.isfinite(fitted_again)
        assert not torch.equal(one(features).p_correct, before)
    assert torch.equal(classifier(features).p_correct, before)
