from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest
import torch

from sgpu_lightning.metrics import functional
from sgpu_lightning.metrics.functional import bootstrap, bootstrap_interval, paired_bootstrap, tally
from sgpu_lightning.metrics.functional.bootstrap_draws import resample_counts
from sgpu_lightning.metrics.functional.tally import Tally
from sgpu_lightning.metrics.registry import METRICS, bootstrap_names
from tests.metrics.helpers import random_answers

# The pure functions that the tally forms must agree with.
PLAIN = {
    "accuracy": lambda probs, labels: labels.double().mean(),
    "accuracy_at_coverage": functional.accuracy_at_coverage,
    "ace": functional.adaptive_calibration_error,
    "auarc": functional.auarc,
    "aurac": functional.aurac,
    "aurc": functional.aurc,
    "auroc": functional.auroc,
    "brier": functional.brier_score,
    "coverage_at_risk": functional.coverage_at_risk,
    "ece": functional.calibration_error,
    "nll": functional.negative_log_likelihood,
    "prr": functional.prediction_rejection_ratio,
}
every_metric = pytest.mark.parametrize("name", PLAIN)


def draws(group: torch.Tensor, num_resamples: int, seed: int = 0) -> torch.Tensor:
    return torch.cat([drawn for _, drawn in resample_counts(group, num_resamples, torch.Generator().manual_seed(seed))])


def test_every_metric_is_tested():
    assert PLAIN.keys() == set(bootstrap_names())


@every_metric
@pytest.mark.parametrize("levels", [None, 6])
@pytest.mark.parametrize("n", [5, 16, 203])
def test_the_tally_form_of_a_metric_agrees_with_its_pure_function_on_every_resample(name, levels, n):
    probs, labels = random_answers(n, seed=n, levels=levels)
    group = torch.arange(n) // 3  # so that resamples are of unequal numbers of answers
    counts = draws(group, 20)
    assert len(counts.sum(1).unique()) > 1
    got = METRICS[name].tally_form(Tally.of(probs, labels.double(), counts))
    for row, value in zip(counts.long(), got.tolist(), strict=True):
        written, truth = probs.repeat_interleave(row), labels.repeat_interleave(row)
        if 0 < truth.sum() < len(truth) or name not in ("auroc", "prr"):
            assert value == pytest.approx(PLAIN[name](written, truth).item(), abs=1e-11)
        else:
            assert np.isnan(value)


@every_metric
def test_intervals_are_the_quantiles_of_resamples(name):
    probs, labels = random_answers(120, levels=30)
    value, resampled = bootstrap(name, [probs], labels, num_resamples=200, seed=4)
    interval = bootstrap_interval(name, probs, labels, num_resamples=200, seed=4, confidence=0.9)
    assert interval.value == value[0] == pytest.approx(PLAIN[name](probs, labels).item(), abs=1e-12)
    assert [interval.low, interval.high] == pytest.approx(np.quantile(resampled[0].numpy(), [0.05, 0.95]).tolist())
    # An ECE of resamples lies above that of the answers: resampling adds noise.
    assert interval.low <= interval.high


def test_the_spread_is_that_of_theory():
    probs, labels = random_answers(900)
    _, resampled = bootstrap("accuracy", [probs], labels, num_resamples=2000)
    right = labels.double().mean().item()
    assert resampled.std().item() == pytest.approx((right * (1 - right) / 900) ** 0.5, rel=0.05)


def test_groups_are_drawn_as_a_whole():
    group = torch.tensor([0, 0, 0, 1, 2, 2])
    counts = draws(group, 50)
    assert torch.equal(counts[:, 0], counts[:, 1])
    assert torch.equal(counts[:, 4], counts[:, 5])
    assert (counts[:, [0, 3, 4]].sum(1) == 3).all()


def test_answers_that_repeat_in_groups_widen_the_interval():
    probs, labels = random_answers(150)
    many, truth = probs.repeat_interleave(6), labels.repeat_interleave(6)
    groups = [f"question {i // 6}" for i in range(900)]
    alone = bootstrap_interval("auroc", many, truth)
    grouped = bootstrap_interval("auroc", many, truth, groups=groups)
    once = bootstrap_interval("auroc", probs, labels)
    assert grouped.high - grouped.low > 1.8 * (alone.high - alone.low)
    assert grouped.high - grouped.low == pytest.approx(once.high - once.low, rel=0.15)


def test_folds_are_averaged_and_drawn_within():
    probs, labels = random_answers(90)
    folds = torch.arange(90) % 3
    value, resampled = bootstrap("auroc", [probs], labels, folds=folds, num_resamples=50)
    each = [functional.auroc(probs[folds == k], labels[folds == k]) for k in range(3)]
    assert value.item() == pytest.approx(torch.stack(each).mean().item(), abs=1e-12)
    assert resampled.mean().item() == pytest.approx(value.item(), abs=0.03)


def test_the_same_seed_draws_the_same():
    probs, labels = random_answers(60)
    first, second, third = (bootstrap("brier", [probs], labels, seed=seed)[1] for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_many_answers_are_drawn_in_runs(monkeypatch):
    probs, labels = random_answers(50)
    whole = bootstrap("auroc", [probs], labels, num_resamples=7)[1]
    monkeypatch.setattr("sgpu_lightning.metrics.functional.bootstrap_draws._MAX_COUNTS", 120)
    assert torch.equal(bootstrap("auroc", [probs], labels, num_resamples=7)[1], whole)


def test_a_better_predictor_is_better_and_the_other_way_round():
    probs, labels = random_answers(400)
    noisy = (probs + torch.randn(400, generator=torch.Generator().manual_seed(1)).double()).sigmoid()
    for metric in ("auroc", "brier"):
        found, other = paired_bootstrap(metric, probs, noisy, labels), paired_bootstrap(metric, noisy, probs, labels)
        assert (found.better, found.worse, other.better, other.worse) == (True, False, False, True)
        assert found.p_value == other.p_value == pytest.approx(2 / 1001)
        assert found.difference == pytest.approx(-other.difference)
        assert (found.difference > 0) == (metric == "auroc")


def test_a_predictor_is_not_better_than_itself():
    probs, labels = random_answers(100)
    found = paired_bootstrap("auarc", probs, probs, labels)
    assert (found.difference, found.low, found.high, found.p_value) == (0, 0, 0, 1)
    assert not found.better
    assert not found.worse


def test_pairing_sees_what_unpaired_intervals_do_not():
    probs, labels = random_answers(600)
    worse = (probs - 0.03 * (labels.double() - 0.5)).clamp(0, 1)
    first, second = (bootstrap_interval("brier", values, labels) for values in (probs, worse))
    assert first.high > second.low  # they overlap
    assert paired_bootstrap("brier", probs, worse, labels).better


def test_null_hypotheses_are_rejected_about_as_often_as_said():
    rejected = 0
    for seed in range(150):
        probs, labels = random_answers(120, seed=seed)
        generator = torch.Generator().manual_seed(1000 + seed)
        one, other = ((probs + 0.3 * torch.randn(120, generator=generator)).double().clamp(0, 1) for _ in range(2))
        found = paired_bootstrap("brier", one, other, labels, num_resamples=200, seed=seed)
        rejected += found.better or found.worse
    assert 1 <= rejected <= 18  # 5 % of 150 is 7.5, with a standard deviation of 2.7


def test_other_settings_by_a_tally_form():
    probs, labels = random_answers(80)
    found = bootstrap_interval(partial(tally.ece, num_bins=4), probs, labels)
    assert found.value == pytest.approx(functional.calibration_error(probs, labels, 4).item(), abs=1e-12)
    risk = partial(tally.accuracy_at_coverage, coverage=0.5)
    assert paired_bootstrap(risk, probs, 1 - probs, labels).better
    assert paired_bootstrap(partial(tally.ece, num_bins=4), probs, 1 - probs, labels, lower_is_better=True).better


def test_a_single_class_gives_nan_where_the_metric_does():
    probs, labels = torch.rand(20), torch.ones(20)
    interval = bootstrap_interval("auroc", probs, labels)
    assert all(np.isnan(value) for value in (interval.value, interval.low, interval.high))
    found = paired_bootstrap("auroc", probs, probs, labels)
    assert np.isnan(found.p_value)
    assert not found.better
    assert not np.isnan(bootstrap_interval("brier", probs, labels).low)


def test_resamples_of_a_single_class_are_left_out():
    probs, labels = torch.tensor([0.1, 0.5, 0.9, 0.7]), torch.tensor([0, 1, 1, 1])
    _, resampled = bootstrap("auroc", [probs], labels)
    assert 0.2 < resampled.isnan().double().mean() < 0.5
    interval = bootstrap_interval("auroc", probs, labels)
    assert 0 <= interval.low <= interval.high <= 1


WRONG = {
    "metric": (("f1",), {}, "`metric`: expected one of accuracy, accuracy_at_coverage, ace, "),
    "groups": (("ece",), {"groups": ["a"]}, "`groups`: expected 4, one for each answer, got 1"),
    "folds": (("ece",), {"folds": torch.ones(3)}, "`folds`: expected shape (4,), one for each answer, got (3,)"),
    "resamples": (("ece",), {"num_resamples": 0}, "`num_resamples`: expected a positive integer, got 0"),
    "confidence": (("ece",), {"confidence": 95}, "`confidence`: expected a number in (0, 1], got 95"),
}


@pytest.mark.parametrize(("metric", "options", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_arguments_are_named(metric, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        bootstrap_interval(*metric, torch.rand(4), torch.tensor([0, 1, 0, 1]), **options)


def test_wrong_probabilities_are_named():
    with pytest.raises(ValueError, match=re.escape("`probs`: expected probabilities in [0, 1], got 2.0 at index 0")):
        paired_bootstrap("ece", torch.tensor([0.5]), torch.tensor([2.0]), torch.tensor([1]))
