from __future__ import annotations

import pickle
import re

import pytest
import torch

from sgpu_lightning import metrics
from sgpu_lightning.metrics import functional
from tests.metrics.helpers import random_answers

FUNCTIONAL = {
    metrics.CalibrationError: functional.calibration_error,
    metrics.AdaptiveCalibrationError: functional.adaptive_calibration_error,
    metrics.CalibrationNoiseFloor: lambda probs, labels, *args: functional.calibration_noise_floor(probs, *args),
    metrics.BrierScore: functional.brier_score,
    metrics.NegativeLogLikelihood: functional.negative_log_likelihood,
    metrics.AUROC: functional.auroc,
    metrics.AUARC: functional.auarc,
    metrics.AURAC: functional.aurac,
    metrics.AURC: functional.aurc,
    metrics.PredictionRejectionRatio: functional.prediction_rejection_ratio,
    metrics.AccuracyAtCoverage: functional.accuracy_at_coverage,
    metrics.CoverageAtRisk: functional.coverage_at_risk,
}
every_metric = pytest.mark.parametrize(("cls", "function"), FUNCTIONAL.items())
every_class = pytest.mark.parametrize("cls", FUNCTIONAL)


def updated(metric, probs, labels, size=37):
    for batch in zip(probs.split(size), labels.split(size), strict=True):
        metric.update(*batch)
    return metric


def test_every_exported_class_is_tested():
    classes = {getattr(metrics, name) for name in metrics.__all__ if isinstance(getattr(metrics, name), type)}
    assert classes - {metrics.ProbabilityMetric, metrics.RiskCoverageCurve} == FUNCTIONAL.keys()


@every_metric
def test_batches_add_up_to_the_functional_on_all(cls, function):
    probs, labels = random_answers(150, steps=20)
    assert updated(cls(), probs, labels).compute() == function(probs, labels)


@every_metric
def test_forward_gives_the_batch_and_keeps_the_total(cls, function):
    probs, labels = random_answers(100)
    metric = cls()
    for batch in zip(probs.split(50), labels.split(50), strict=True):
        assert metric(*batch) == function(*batch)
    assert metric.compute() == function(probs, labels)


@every_metric
def test_reset_forgets(cls, function):
    metric = updated(cls(), *random_answers(50, seed=1))
    metric.reset()
    probs, labels = random_answers(50, seed=2)
    assert updated(metric, probs, labels).compute() == function(probs, labels)


@every_metric
def test_pickled_metrics_go_on(cls, function):
    probs, labels = random_answers(100)
    metric = pickle.loads(pickle.dumps(updated(cls(), probs[:60], labels[:60])))
    assert updated(metric, probs[60:], labels[60:]).compute() == function(probs, labels)


@every_metric
def test_merged_metrics_are_one(cls, function):
    probs, labels = random_answers(80)
    metric = updated(cls(), probs[:30], labels[:30])
    metric.merge_state(updated(cls(), probs[30:], labels[30:]))
    assert metric.compute().item() == pytest.approx(function(probs, labels).item(), abs=1e-12)


@every_metric
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_inputs_are_kept_in_float64(cls, function, dtype):
    probs, labels = random_answers(60)
    metric = updated(cls(), probs.to(dtype), labels.to(dtype))
    assert metric.compute().dtype == torch.float64
    assert metric.compute() == function(probs.to(dtype), labels)


MOVES = {
    "half": lambda module: module.half(),
    "to": lambda module: module.to(torch.bfloat16),
    "to device": lambda module: module.to("cpu"),
    "to both": lambda module: module.to("cpu", torch.float16),
    "set_dtype": lambda module: module[0].set_dtype(torch.float32),
}


@every_metric
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES.keys())
def test_states_stay_float64_when_the_module_around_is_moved(cls, function, move):
    probs, labels = random_answers(60)
    metric = updated(cls(), probs, labels)
    move(torch.nn.Sequential(metric, torch.nn.Linear(1, 1)))
    assert metric.dtype == torch.float64
    assert metric.compute() == function(probs, labels)


@every_class
@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric:UserWarning")
def test_no_answers_give_nan_and_say_so(cls):
    metric = cls()
    metric.update(torch.empty(0), torch.empty(0, dtype=torch.long))
    with pytest.warns(UserWarning, match=f"{cls.__name__} has seen no answers since the last reset. Returning nan"):
        value = metric.compute()
    assert value.isnan()
    assert value.dtype == torch.float64


@every_class
def test_an_empty_batch_changes_nothing(cls):
    probs, labels = random_answers(40)
    metric = updated(cls(), probs, labels)
    before = metric.compute()
    metric.update(torch.empty(0), torch.empty(0))
    assert metric.compute() == before


@every_class
def test_wrong_inputs_are_refused_at_update(cls):
    with pytest.raises(ValueError, match=re.escape("`probs`: expected probabilities in [0, 1], got nan")):
        cls().update(torch.tensor([float("nan")]), torch.tensor([1]))
    with pytest.raises(ValueError, match=re.escape("`labels`: expected the shape of `probs`, (0,), got (2,)")):
        cls().update(torch.empty(0), torch.tensor([1, 0]))


@every_class
def test_states_are_copies_without_a_graph(cls):
    probs, labels = random_answers(40)
    probs.requires_grad_()
    metric = cls()
    metric.update(probs, labels)
    before = metric.compute()
    with torch.no_grad():
        probs.zero_()
    metric._computed = None
    assert metric.compute() == before
    assert not metric.compute().requires_grad


@pytest.mark.parametrize("cls", [metrics.CalibrationError, metrics.AdaptiveCalibrationError])
def test_num_bins_reaches_the_functional(cls):
    probs, labels = random_answers(90)
    assert cls(num_bins=4)(probs, labels) == FUNCTIONAL[cls](probs, labels, 4)
    with pytest.raises(ValueError, match="`num_bins`: expected a positive integer, got 0"):
        cls(num_bins=0)


def test_noise_floor_arguments_reach_the_functional():
    probs, labels = random_answers(90)
    expected = functional.calibration_noise_floor(probs, 4, 10, 7)
    assert metrics.CalibrationNoiseFloor(num_bins=4, num_resamples=10, seed=7)(probs, labels) == expected
    with pytest.raises(ValueError, match="`num_resamples`: expected a positive integer, got 0"):
        metrics.CalibrationNoiseFloor(num_resamples=0)


@pytest.mark.parametrize(
    ("cls", "name", "default"),
    [
        (metrics.PredictionRejectionRatio, "max_rejection", 1.0),
        (metrics.AccuracyAtCoverage, "coverage", 0.8),
        (metrics.CoverageAtRisk, "risk", 0.1),
    ],
)
def test_proportions_reach_the_functional(cls, name, default):
    probs, labels = random_answers(90)
    assert cls(**{name: 0.35})(probs, labels) == FUNCTIONAL[cls](probs, labels, 0.35)
    assert cls()(probs, labels) == FUNCTIONAL[cls](probs, labels, default)
    with pytest.raises(ValueError, match=rf"`{name}`: expected a number in \(0, 1\], got 0"):
        cls(**{name: 0})


def test_the_risk_coverage_curve_is_that_of_the_functional():
    probs, labels = random_answers(90, steps=10)
    curve = updated(metrics.RiskCoverageCurve(), probs, labels).compute()
    assert torch.equal(curve, torch.stack(functional.risk_coverage_curve(probs, labels)))


def test_single_class_prr_is_nan():
    metric = metrics.PredictionRejectionRatio()
    metric.update(torch.tensor([0.5, 0.6]), torch.tensor([0, 0]))
    with pytest.warns(UserWarning, match="PRR is undefined: expected right and wrong answers, got 2 of label 0"):
        assert metric.compute().isnan()


def test_single_class_auroc_is_nan():
    metric = metrics.AUROC()
    metric.update(torch.tensor([0.5, 0.6]), torch.tensor([1, 1]))
    with pytest.warns(UserWarning, match="AUROC is undefined: expected right and wrong answers, got 2 of label 1"):
        assert metric.compute().isnan()


def test_the_collection_has_the_reported_metrics():
    probs, labels = random_answers(120)
    collection = metrics.probability_metrics("val/")
    collection.update(probs, labels)
    expected = {
        "val/nll": functional.negative_log_likelihood(probs, labels),
        "val/brier": functional.brier_score(probs, labels),
        "val/ece": functional.calibration_error(probs, labels),
        "val/ece_floor": functional.calibration_noise_floor(probs),
        "val/auroc": functional.auroc(probs, labels),
        "val/auarc": functional.auarc(probs, labels),
    }
    assert collection.compute() == expected
    collection.reset()
    assert all(len(metric.probs) == 0 for metric in collection.values())


def test_the_collection_without_a_prefix_has_bare_keys():
    assert set(metrics.probability_metrics()) == {"nll", "brier", "ece", "ece_floor", "auroc", "auarc"}
