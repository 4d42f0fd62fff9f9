from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from sgpu_lightning.baselines import SUPERVISED, SupervisedError, get_supervised
from sgpu_lightning.baselines.supervised.logistic_regression import C_GRID, inner_folds

every_baseline = pytest.mark.parametrize("name", SUPERVISED)


def made_up(n: int = 300, features: int = 8, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(n, features, generator=generator)
    chance = torch.sigmoid(2.0 * rows[:, 0] - rows[:, 1])
    return 10.0 * rows + 3.0, (torch.rand(n, generator=generator) < chance).long()


@every_baseline
def test_what_is_learned_ranks_unseen_sets(name):
    rows, labels = made_up(600)
    fitted = get_supervised(name).fit(rows[:400], labels[:400])
    chance = fitted.predict(rows[400:])
    assert chance.dtype == torch.float64
    assert ((chance > 0) & (chance < 1)).all()
    assert roc_auc_score(labels[400:], chance) > 0.8


@every_baseline
def test_fitting_twice_gives_the_same(name):
    rows, labels = made_up(120)
    first, second = (get_supervised(name).fit(rows, labels, seed=3).predict(rows) for _ in range(2))
    assert torch.equal(first, second)


@every_baseline
def test_three_labels_are_enough_to_fit(name):
    rows, _ = made_up(3)
    chance = get_supervised(name).fit(rows, torch.tensor([0, 1, 1])).predict(rows)
    assert torch.isfinite(chance).all()


def test_c_is_the_one_that_inner_folds_by_group_choose():
    rows, labels = made_up(80, features=40)
    groups = [str(i // 4) for i in range(80)]
    fitted = get_supervised("logistic_spectrum").fit(rows, labels, groups)
    search = fitted.classifier
    table, truth = rows.double().numpy(), labels.numpy()
    folds = inner_folds(truth, np.unique(groups, return_inverse=True)[1])
    values = []
    for c in C_GRID:
        scores = []
        for train, test in folds:
            assert not {groups[i] for i in train} & {groups[i] for i in test}
            mean, spread = table[train].mean(0), table[train].std(0)
            model = LogisticRegression(C=c, max_iter=2000).fit((table[train] - mean) / spread, truth[train])
            chance = model.predict_proba((table[test] - mean) / spread)
            scores.append(np.log(chance[np.arange(len(test)), truth[test]]).mean())
        values.append(np.mean(scores))
    assert search.best_params_["logisticregression__C"] == C_GRID[int(np.argmax(values))]
    assert search.best_score_ == pytest.approx(max(values), abs=1e-6)


WRONG = {
    "one class": ((4, 2), [1, 1, 1, 1], None, "labels: expected both 0 and 1 and nothing else, got [1.0]"),
    "unknown labels": ((3, 2), [1, 0, torch.nan], None, "labels: expected both 0 and 1 and nothing else"),
    "other number": ((4, 2), [1, 0], None, "labels: expected shape (4,), got (2,)"),
    "one axis": ((4,), [1, 0, 1, 0], None, "rows: expected shape (n, F) with n > 0, got (4,)"),
    "groups": ((4, 2), [1, 0, 1, 0], ["a"], "groups: expected 4, one for each row, got 1"),
}


@pytest.mark.parametrize(("shape", "labels", "groups", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_fitted_is_refused(shape, labels, groups, message):
    with pytest.raises(SupervisedError, match=re.escape(message)):
        get_supervised("linear_probe").fit(torch.ones(shape), torch.tensor(labels), groups)


def test_rows_that_are_not_finite_or_of_other_length_are_refused():
    rows, labels = made_up(40)
    fitted = get_supervised("boosted_spectrum").fit(rows, labels)
    with pytest.raises(
        SupervisedError, match="boosted_spectrum: expected rows of 8 numbers, as it was fitted on, got 7"
    ):
        fitted.predict(rows[:, :7])
    rows[0, 0] = torch.nan
    with pytest.raises(SupervisedError, match="rows: expected finite numbers, got NaN or infinity"):
        fitted.predict(rows)


def test_unknown_baselines_are_named():
    with pytest.raises(SupervisedError, match="unknown supervised baseline 'mlp', expected one of logistic_spectrum, "):
        get_supervised("mlp")
