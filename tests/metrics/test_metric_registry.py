from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from sgpu_lightning import metrics
from sgpu_lightning.metrics import functional
from sgpu_lightning.metrics.registry import LOWER_IS_BETTER, METRICS, in_table, names
from tests.metrics.helpers import random_answers

every_row = pytest.mark.parametrize("row", METRICS.values(), ids=METRICS.keys())
every_row_with_a_function = pytest.mark.parametrize(
    "row", [row for row in METRICS.values() if row.function_path], ids=lambda row: row.name
)


@every_row
def test_paths_of_a_row_lead_to_public_implementations(row):
    if row.function_path:
        assert getattr(functional, row.function.__name__) is row.function
    if row.class_path:
        assert getattr(metrics, row.metric_class.__name__) is row.metric_class
    if row.tally_path:
        assert callable(row.tally_form)


@every_row
def test_a_row_says_which_direction_its_class_says(row):
    if row.class_path:
        assert row.metric_class.higher_is_better is row.higher_is_better


def test_every_class_and_function_is_in_the_registry():
    classes = {row.class_path.rpartition(".")[2] for row in METRICS.values() if row.class_path}
    assert classes == set(metrics.__all__) - {"ProbabilityMetric", "RiskCoverageCurve", "probability_metrics"}


@every_row_with_a_function
def test_a_metric_that_takes_ranks_ignores_monotone_maps_and_the_others_do_not(row):
    probs, labels = random_answers(80)
    moved = row.evaluate(probs, labels, functional.unit_ranks(probs)) == row.evaluate(probs**3, labels)
    assert moved == (row.takes == "rank")


@every_row_with_a_function
def test_evaluate_gives_what_the_class_gives(row):
    probs, labels = random_answers(60)
    expected = row.metric_class()
    expected.update(probs, labels)
    assert row.evaluate(probs, labels) == expected.compute().item()


def test_tables_keep_one_order_of_columns():
    assert names("fit") == ("auroc", "auarc", "ece", "ece_floor", "brier", "nll")
    assert names("curve") == names("fit")
    assert names("compare") == ("auroc", "auarc", "prr", "ece", "ece_floor", "ace", "brier", "nll")
    assert names("compare_mean") == ("auroc", "auarc", "prr", "ece", "ece_floor", "brier", "nll")
    assert names("tested") == ("auroc", "brier")
    assert names("answer_curve") == ("auroc", "ece", "brier")
    assert names("transfer") == ("auroc", "auarc", "ece", "brier")
    assert names("predictor") == ("auroc", "auarc", "ece", "brier", "nll")
    assert [row.heading for row in in_table("fit")] == ["AUROC", "AUARC", "ECE", "ECE floor", "Brier", "NLL"]


def test_the_collection_has_the_metrics_of_the_fit_table():
    assert set(metrics.probability_metrics()) == set(names("fit"))


def test_lower_is_better():
    assert {"ace", "aurc", "brier", "ece", "nll"} == LOWER_IS_BETTER


def test_importing_the_registry_needs_no_torch():
    code = "import sys, sgpu_lightning.metrics.registry; print('torch' in sys.modules, 'torchmetrics' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'sgpu_lightning\.metrics' has no attribute 'F1'"):
        _ = metrics.F1


def test_a_missing_implementation_is_named():
    with pytest.raises(ValueError, match="metric 'accuracy': expected a function_path in its registry row, got None"):
        METRICS["accuracy"].evaluate(torch.tensor([0.2]), torch.tensor([1]))


def test_ranks_are_only_taken_by_metrics_of_ranks():
    probs, labels = torch.tensor([0.2, 0.9]), torch.tensor([1, 0])
    ranks = torch.tensor([1.0, 0.0])
    assert METRICS["auroc"].evaluate(probs, labels, ranks) == 1
    assert METRICS["brier"].evaluate(probs, labels, ranks) == METRICS["brier"].evaluate(probs, labels)
