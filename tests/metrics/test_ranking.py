from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, roc_auc_score
from torchmetrics.functional.classification import binary_auroc

from sgpu_lightning.metrics.functional import auarc, aurac, auroc
from tests.metrics.helpers import answers, random_answers

# Few distinct values, few answers: most orders are tied, and all can be enumerated.
tied_answers = st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.integers(0, 1)), min_size=1, max_size=6)


def orders(probs):
    """Every order by falling probability."""
    for order in itertools.permutations(range(len(probs))):
        if all(probs[i] >= probs[j] for i, j in itertools.pairwise(order)):
            yield order


def accuracies(labels):
    return [Fraction(sum(labels[:k]), k) for k in range(1, len(labels) + 1)]


def plain_auarc(labels):
    return sum(accuracies(labels)) / len(labels)


def plain_aurac(labels):
    coverages = [Fraction(1, 10) + Fraction(9, 190) * i for i in range(20)]
    curve = accuracies(labels)
    return sum(curve[int((len(labels) - 1) * q)] for q in coverages) * Fraction(9, 190)


@pytest.mark.parametrize(("metric", "plain"), [(auarc, plain_auarc), (aurac, plain_aurac)])
@given(data=tied_answers)
@settings(max_examples=40, deadline=None)
def test_ties_give_the_mean_over_all_their_orders(metric, plain, data):
    probs, labels = zip(*data, strict=True)
    values = [plain([labels[i] for i in order]) for order in orders(probs)]
    expected = float(sum(values) / len(values))
    assert metric(torch.tensor(probs), torch.tensor(labels)).item() == pytest.approx(expected, abs=1e-12)


def test_auarc_by_hand():
    probs, labels = torch.tensor([0.1, 0.9, 0.4, 0.7]), torch.tensor([0, 1, 1, 0])
    assert auarc(probs, labels).item() == pytest.approx((1 + 1 / 2 + 2 / 3 + 2 / 4) / 4)


def test_auarc_is_within_one_answer_of_the_trapezoid_rule():
    probs, labels = random_answers(400)
    accuracy = np.cumsum(labels.numpy()[np.argsort(-probs.numpy())]) / np.arange(1, 401)
    trapezoid = auc(np.linspace(0, 1, 400), accuracy)
    ends = (accuracy[0] + accuracy[-1]) / 2
    assert auarc(probs, labels).item() == pytest.approx((trapezoid * 399 + ends) / 400)
    assert abs(auarc(probs, labels).item() - trapezoid) < 1 / 399


@pytest.mark.parametrize("n", [2, 98, 500])
def test_aurac_keeps_the_answers_up_to_each_quantile_of_uncertainty(n):
    probs, labels = random_answers(n, seed=n)
    coverages, uncertainty = np.linspace(0.1, 1, 20), 1 - probs.numpy()
    # A hair above each quantile: linear interpolation may end a hair below the answer that is the quantile.
    kept = [labels.numpy()[uncertainty <= np.quantile(uncertainty, q) + 1e-12].mean() for q in coverages]
    assert aurac(probs, labels).item() == pytest.approx(sum(kept) * (coverages[1] - coverages[0]))


def test_extremes():
    probs = torch.linspace(0, 1, 50)
    assert auarc(probs, torch.ones(50)).item() == pytest.approx(1)
    assert aurac(probs, torch.ones(50)).item() == pytest.approx(18 / 19)
    assert auarc(probs, torch.zeros(50)) == aurac(probs, torch.zeros(50)) == 0
    assert auroc(probs, probs > 0.5) == 1
    assert auroc(probs, probs < 0.5) == 0


def test_a_constant_probability_ranks_at_chance():
    probs, labels = torch.full((10,), 0.7), torch.tensor([1, 1, 1, 0, 0] * 2)
    assert auroc(probs, labels).item() == pytest.approx(0.5)
    assert auarc(probs, labels).item() == pytest.approx(0.6)
    assert aurac(probs, labels).item() == pytest.approx(0.6 * 18 / 19)


@given(answers())
@settings(max_examples=60, deadline=None)
def test_auroc_is_that_of_scikit_learn(data):
    probs, labels = data
    assume(0 < labels.sum() < len(labels))
    expected = roc_auc_score(labels, np.round(probs.numpy(), 12))
    assert auroc(probs, labels).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("n", "steps"), [(200, None), (5_000, 10), (50_000, None)])
def test_auroc_of_many_answers_is_that_of_scikit_learn_and_torchmetrics(n, steps):
    probs, labels = random_answers(n, steps=steps)
    assert auroc(probs, labels).item() == pytest.approx(roc_auc_score(labels, probs), abs=1e-12)
    assert auroc(probs, labels).item() == pytest.approx(binary_auroc(probs, labels).item(), abs=1e-6)


@pytest.mark.parametrize("label", [0, 1])
def test_auroc_of_a_single_class_is_nan_and_says_why(label):
    with pytest.warns(UserWarning, match=f"expected right and wrong answers, got 3 of label {label}. Returning nan"):
        value = auroc(torch.tensor([0.1, 0.5, 0.9]), torch.full((3,), label))
    assert value.isnan()


@pytest.mark.parametrize("metric", [auroc, auarc, aurac])
def test_neither_round_off_nor_order_moves_a_figure(metric):
    probs, labels = random_answers(300, steps=10)
    noise = (torch.rand(300, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 0.5) * 1e-14
    moved = (probs + noise).clamp(0, 1)
    assert len(moved.unique()) > 200
    assert metric(moved, labels) == metric(probs, labels)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(2))
    assert metric(probs[order], labels[order]) == metric(probs, labels)
