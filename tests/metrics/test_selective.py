from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from sgpu_lightning.metrics.functional import (
    accuracy_at_coverage,
    auarc,
    aurc,
    coverage_at_risk,
    prediction_rejection_ratio,
    risk_coverage_curve,
)
from tests.metrics.helpers import random_answers
from tests.metrics.test_ranking import accuracies, orders, tied_answers

REFERENCE = json.loads((Path(__file__).parent / "reference.json").read_text(encoding="utf-8"))


def plain_prr(labels, most=1):
    n, right = len(labels), sum(labels)
    rejected = int(most * n)

    def area(ordered):
        return sum(accuracies(ordered)[n - rejected :]) / rejected

    best, chance = area(sorted(labels, reverse=True)), Fraction(right, n)
    return (area(labels) - chance) / (best - chance)


@pytest.mark.parametrize("most", [1.0, 0.5])
def test_prr_is_that_of_lm_polygraph_with_the_expected_random_area(most):
    probs, labels = torch.tensor(REFERENCE["probs"]), torch.tensor(REFERENCE["labels"])
    assert REFERENCE["versions"]["lm-polygraph"] == "0.7.0"
    chance = sum(REFERENCE["labels"]) / len(labels)
    expected = (REFERENCE[f"area {most}"] - chance) / (REFERENCE[f"oracle {most}"] - chance)
    assert prediction_rejection_ratio(probs, labels, most).item() == pytest.approx(expected, abs=1e-10)


def test_aurc_is_that_of_lm_polygraph():
    probs, labels = torch.tensor(REFERENCE["probs"]), torch.tensor(REFERENCE["labels"])
    assert aurc(probs, labels).item() == pytest.approx(REFERENCE["risk-coverage area"], abs=1e-10)
    assert aurc(probs, labels).item() == pytest.approx(1 - auarc(probs, labels).item(), abs=1e-12)


@given(data=tied_answers)
@settings(max_examples=40, deadline=None)
def test_ties_give_the_mean_over_all_their_orders(data):
    probs, labels = zip(*data, strict=True)
    all_orders = [[labels[i] for i in order] for order in orders(probs)]
    given_probs, given_labels = torch.tensor(probs), torch.tensor(labels)
    mean_risk = [1 - sum(curve) / len(all_orders) for curve in zip(*map(accuracies, all_orders), strict=True)]
    coverage, risk = risk_coverage_curve(given_probs, given_labels)
    assert risk.tolist() == pytest.approx([float(value) for value in mean_risk], abs=1e-12)
    assert coverage.tolist() == pytest.approx([(k + 1) / len(labels) for k in range(len(labels))])
    for kept in (0.3, 0.5, 1.0):
        k = math.ceil(kept * len(labels) - 1e-9)
        got = accuracy_at_coverage(given_probs, given_labels, kept).item()
        assert got == pytest.approx(float(1 - mean_risk[k - 1]), abs=1e-12)
    for limit in (0.1, 1 / 3, 0.5, 1.0):
        good = [k for k, value in enumerate(mean_risk, start=1) if value <= limit + 1e-12]
        got = coverage_at_risk(given_probs, given_labels, limit).item()
        assert got == pytest.approx(max(good, default=0) / len(labels), abs=1e-12)
    if 0 < sum(labels) < len(labels):
        expected = sum(map(plain_prr, all_orders)) / len(all_orders)
        assert prediction_rejection_ratio(given_probs, given_labels).item() == pytest.approx(float(expected), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("steps", [None, 7])
def test_coverage_at_risk_is_the_last_place_on_the_curve_that_is_good_enough(seed, steps):
    probs, labels = random_answers(157, seed=seed, steps=steps)
    coverage, risk = (values.numpy() for values in risk_coverage_curve(probs, labels))
    for limit in np.linspace(0.01, 1, 40):
        expected = coverage[risk <= limit + 1e-12].max(initial=0)
        assert coverage_at_risk(probs, labels, float(limit)).item() == pytest.approx(expected, abs=1e-12)


def test_prr_at_its_extremes():
    labels = torch.tensor([0, 0, 0, 1, 1])
    assert prediction_rejection_ratio(torch.linspace(0, 1, 5), labels).item() == pytest.approx(1)
    assert prediction_rejection_ratio(torch.full((5,), 0.4), labels).item() == pytest.approx(0)
    assert prediction_rejection_ratio(torch.linspace(1, 0, 5), labels).item() < -0.5


@pytest.mark.parametrize("label", [0, 1])
def test_prr_of_a_single_class_is_nan_and_says_why(label):
    with pytest.warns(UserWarning, match=f"PRR is undefined: expected right and wrong answers, got 3 of label {label}"):
        value = prediction_rejection_ratio(torch.tensor([0.1, 0.5, 0.9]), torch.full((3,), label))
    assert value.isnan()


def test_all_right_and_all_wrong():
    probs = torch.linspace(0, 1, 9)
    assert coverage_at_risk(probs, torch.ones(9)) == accuracy_at_coverage(probs, torch.ones(9)) == 1
    assert coverage_at_risk(probs, torch.zeros(9)) == accuracy_at_coverage(probs, torch.zeros(9)) == 0
    assert aurc(probs, torch.ones(9)).item() == pytest.approx(0, abs=1e-12)


def test_a_coverage_that_round_off_pushes_over_a_whole_number_of_answers_keeps_that_many():
    probs, labels = torch.linspace(1, 0, 10), torch.tensor([1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
    assert 0.1 * 3 * 10 > 3
    assert accuracy_at_coverage(probs, labels, 0.1 * 3) == 1
