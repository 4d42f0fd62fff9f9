from __future__ import annotations

import re

import pytest
import torch

from sgpu_lightning.metrics import functional
from sgpu_lightning.metrics.functional.probability_checks import float64_device
from sgpu_lightning.metrics.functional.ties import average_over_ties

# What does not take P(correct) and labels, or does not give one number.
OTHERS = {
    *("calibration_noise_floor", "risk_coverage_curve", "unit_ranks", "bootstrap", "bootstrap_interval"),
    *("paired_bootstrap", "Interval", "Comparison"),
}
PAIRWISE = [getattr(functional, name) for name in functional.__all__ if name not in OTHERS]
BINNED = [functional.calibration_error, functional.adaptive_calibration_error]

WRONG_INPUTS = {
    "NaN": ([0.5, float("nan")], [0, 1], "`probs`: expected probabilities in [0, 1], got nan at index 1 (1 of 2"),
    "logit": ([-3.0, 2.0], [0, 1], "`probs`: expected probabilities in [0, 1], got -3.0 at index 0 (2 of 2"),
    "infinity": ([0.5, float("inf")], [0, 1], "`probs`: expected probabilities in [0, 1], got inf at index 1"),
    "label": ([0.5, 0.5], [0, 2], "`labels`: expected 0 or 1, got 2.0 at index 1 (1 of 2"),
    "NaN label": ([0.5, 0.5], [0, float("nan")], "`labels`: expected 0 or 1, got nan at index 1"),
    "shapes": ([0.5, 0.5], [0, 1, 1], "`labels`: expected the shape of `probs`, (2,), got (3,)"),
    "column": ([[0.5], [0.5]], [[0], [1]], "`probs`: expected a tensor of shape (n,), got shape (2, 1)"),
    "scalar": (0.5, 1, "`probs`: expected a tensor of shape (n,), got shape ()"),
    "nothing": ([], [], "`probs`: expected at least one answer, got an empty tensor"),
}


@pytest.mark.parametrize("metric", PAIRWISE)
@pytest.mark.parametrize(("probs", "labels", "message"), WRONG_INPUTS.values(), ids=WRONG_INPUTS.keys())
def test_wrong_inputs_are_named(metric, probs, labels, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        metric(torch.tensor(probs), torch.tensor(labels))


@pytest.mark.parametrize("probs", [[0.5, float("nan")], [1.5], [], [[0.5]]])
def test_noise_floor_checks_its_probabilities(probs):
    with pytest.raises(ValueError, match="`probs`: expected"):
        functional.calibration_noise_floor(torch.tensor(probs))


@pytest.mark.parametrize("count", [0, -1, 2.0, True])
def test_counts_are_positive_integers(count):
    probs, labels = torch.tensor([0.5]), torch.tensor([1])
    for metric in BINNED:
        with pytest.raises(ValueError, match="`num_bins`: expected a positive integer, got "):
            metric(probs, labels, num_bins=count)
    with pytest.raises(ValueError, match="`num_bins`: expected a positive integer, got "):
        functional.calibration_noise_floor(probs, num_bins=count)
    with pytest.raises(ValueError, match="`num_resamples`: expected a positive integer, got "):
        functional.calibration_noise_floor(probs, num_resamples=count)


@pytest.mark.parametrize("metric", PAIRWISE)
@pytest.mark.parametrize("probs_dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("labels_dtype", [torch.bool, torch.int64, torch.float16])
def test_any_real_dtype_is_computed_in_float64(metric, probs_dtype, labels_dtype):
    probs, labels = torch.tensor([0.125, 0.5, 0.5, 1.0]), torch.tensor([0, 0, 1, 1])  # exact in every dtype
    value = metric(probs.to(probs_dtype), labels.to(labels_dtype))
    assert value.dtype == torch.float64
    assert value.shape == ()
    assert value == metric(probs, labels)


def test_ties_are_averaged_in_ascending_order():
    probs = torch.tensor([0.9, 0.2, 1 - 0.8, 0.5], dtype=torch.float64)
    assert probs[1] != probs[2]
    values = torch.tensor([4.0, 1.0, 2.0, 3.0], dtype=torch.float64)
    assert average_over_ties(probs, values).tolist() == [1.5, 1.5, 3.0, 4.0]


@pytest.mark.parametrize("proportion", [0, 1.5, -0.1, True, "0.5", float("nan")])
def test_proportions_are_above_0_and_at_most_1(proportion):
    probs, labels = torch.tensor([0.5, 0.7]), torch.tensor([1, 0])
    for metric, name in (
        (functional.prediction_rejection_ratio, "max_rejection"),
        (functional.accuracy_at_coverage, "coverage"),
        (functional.coverage_at_risk, "risk"),
    ):
        with pytest.raises(ValueError, match=rf"`{name}`: expected a number in \(0, 1\], got "):
            metric(probs, labels, proportion)


def test_unit_ranks_keep_order_and_ties():
    scores = torch.tensor([-3.0, 1e6, 0.1 + 0.2, 0.3, -2.0], dtype=torch.float64)
    assert functional.unit_ranks(scores).tolist() == pytest.approx([0, 1, 2 / 3, 2 / 3, 1 / 3])
    assert functional.unit_ranks(torch.zeros(3)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([], "`scores`: expected a tensor of shape (n,) with n > 0, got shape (0,)"),
        ([0.5, float("nan")], "`scores`: expected finite numbers, got nan at index 1 (1 of 2"),
    ],
)
def test_unit_ranks_need_finite_scores(scores, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        functional.unit_ranks(torch.tensor(scores))


def test_float64_falls_back_to_the_cpu_where_there_is_none():
    assert float64_device(torch.device("mps")) == torch.device("cpu")
    assert float64_device(torch.device("cuda:1")) == torch.device("cuda:1")
