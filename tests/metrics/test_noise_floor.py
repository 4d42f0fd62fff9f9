from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from scipy.stats import binom

from sgpu_lightning.metrics.functional import calibration_error, calibration_noise_floor
from tests.metrics.helpers import random_answers


def exact_floor(probs, num_bins):
    """The expectation itself: in each bin the number of right answers is Poisson-binomial."""
    probs, total = probs.numpy(), 0.0
    bins = np.minimum((probs * num_bins).astype(int), num_bins - 1)
    for b in range(num_bins):
        members, mass = probs[bins == b], np.ones(1)
        for p in members:
            mass = np.convolve(mass, [1 - p, p])
        total += np.abs(np.arange(len(mass)) - members.sum()) @ mass
    return total / len(probs)


@pytest.mark.parametrize(("n", "p"), [(1, 0.5), (10, 0.3), (100, 0.9)])
def test_one_probability_gives_the_mean_deviation_of_a_binomial(n, p):
    expected = np.abs(np.arange(n + 1) / n - p) @ binom.pmf(np.arange(n + 1), n, p)
    floor = calibration_noise_floor(torch.full((n,), p, dtype=torch.float64), num_bins=1, num_resamples=40_000)
    assert floor.item() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("num_bins", [1, 2, 15])
def test_it_is_the_expected_error_under_resampled_labels(num_bins):
    probs, _ = random_answers(300)
    floor = calibration_noise_floor(probs, num_bins, num_resamples=20_000)
    assert floor.item() == pytest.approx(exact_floor(probs, num_bins), rel=0.02)


def test_the_default_is_within_a_few_percent():
    probs, _ = random_answers(700)
    assert calibration_noise_floor(probs).item() == pytest.approx(exact_floor(probs, 15), rel=0.05)


def test_it_is_the_mean_of_the_error_on_drawn_labels():
    probs, _ = random_answers(200, seed=3)
    generator = torch.Generator().manual_seed(1)
    draws = [torch.rand(200, generator=generator, dtype=torch.float64) < probs for _ in range(1000)]
    mean = torch.stack([calibration_error(probs, labels) for labels in draws]).mean()
    assert calibration_noise_floor(probs, num_resamples=5000).item() == pytest.approx(mean.item(), rel=0.03)


def test_certain_probabilities_have_no_noise():
    assert calibration_noise_floor(torch.tensor([0.0, 1.0, 1.0])) == 0


def test_it_is_repeatable_and_leaves_the_global_generator_alone():
    probs, _ = random_answers(500, steps=20)
    before = torch.get_rng_state()
    first = calibration_noise_floor(probs, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert calibration_noise_floor(probs, seed=1) == first
    assert calibration_noise_floor(probs, seed=2) != first
    assert calibration_noise_floor(probs.flip(0), seed=1) == first


def test_chunks_do_not_change_it(monkeypatch):
    probs, _ = random_answers(100)
    whole = calibration_noise_floor(probs)
    monkeypatch.setattr("sgpu_lightning.metrics.functional.calibration._MAX_DRAWS", 64)
    assert calibration_noise_floor(probs).item() == pytest.approx(whole.item(), rel=0.1)


def test_many_answers_take_seconds():
    probs, _ = random_answers(200_000)
    start = time.perf_counter()
    floor = calibration_noise_floor(probs)
    assert time.perf_counter() - start < 10
    assert 0.001 < floor < 0.004  # near sqrt(2 / pi) * 0.39 * sqrt(15 / n) = 0.0027
