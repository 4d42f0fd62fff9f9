from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from sklearn.metrics import brier_score_loss, log_loss

from sgpu_lightning.metrics.functional import brier_score, negative_log_likelihood
from sgpu_lightning.metrics.functional.proper_scores import EPSILON
from tests.metrics.helpers import answers


@given(answers())
@settings(max_examples=50, deadline=None)
def test_scores_are_those_of_scikit_learn(data):
    probs, labels = data
    assert brier_score(probs, labels).item() == pytest.approx(brier_score_loss(labels, probs), abs=1e-12)
    clamped = probs.clamp(EPSILON, 1 - EPSILON)
    assert negative_log_likelihood(probs, labels).item() == pytest.approx(log_loss(labels, clamped, labels=[0, 1]))


def test_scores_by_hand():
    probs, labels = torch.tensor([0.5, 0.25]), torch.tensor([1, 0])
    assert brier_score(probs, labels) == (0.25 + 0.0625) / 2
    assert negative_log_likelihood(probs, labels).item() == pytest.approx((math.log(2) + math.log(4 / 3)) / 2)


def test_a_certain_mistake_costs_minus_log_epsilon():
    for prob, label in ((1.0, 0), (0.0, 1)):
        value = negative_log_likelihood(torch.tensor([prob]), torch.tensor([label])).item()
        assert value == pytest.approx(-math.log(EPSILON), rel=1e-8)
    assert negative_log_likelihood(torch.tensor([1.0]), torch.tensor([1])).item() == pytest.approx(EPSILON)
