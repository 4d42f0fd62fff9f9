"""How much the answer sets of one group tell."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import f_oneway
from sklearn.linear_model import Ridge
from torch import Tensor

from sgpu_lightning.data.datamodule import AnswerDataModule
from sgpu_lightning.evaluation.common.methods import gp_method
from sgpu_lightning.evaluation.common.set_reader import load_evaluation_set
from sgpu_lightning.gp.cluster_weights import group_weight, intraclass_correlation, variants_of
from sgpu_lightning.gp.hyperparameters import fit_classifier
from sgpu_lightning.training.fitting import fit
from tests.toy import toy_rows

SIZES = [1, 2, 3, 3, 5, 8]


def labelled(seed: int, sizes: list[int] = SIZES, alike: float = 0.7) -> tuple[Tensor, Tensor]:
    """Groups of these sizes, whose labels are mostly the group's own."""
    generator = torch.Generator().manual_seed(seed)
    groups = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    own = torch.randint(2, (len(sizes),), generator=generator)[groups]
    other = torch.randint(2, (len(groups),), generator=generator)
    return groups, torch.where(torch.rand(len(groups), generator=generator) < alike, own, other).double()


@pytest.mark.parametrize("seed", range(4))
def test_the_correlation_is_that_of_an_analysis_of_variance(seed):
    groups, labels = labelled(seed, SIZES * 4)
    parts = [labels[groups == group].numpy() for group in groups.unique()]
    ratio = float(f_oneway(*parts).statistic)  # of the mean squares
    count, sizes = len(labels), [len(part) for part in parts]
    size = (count - sum(one * one for one in sizes) / count) / (len(sizes) - 1)
    assert intraclass_correlation(groups, labels) == pytest.approx((ratio - 1) / (ratio - 1 + size), abs=1e-12)


def test_a_group_whose_labels_are_all_alike_counts_for_three_sets():
    groups = torch.tensor([5, 5, 5, 5, 5, 5, -1, -1, 7])
    labels = torch.tensor([1.0] * 6 + [0.0, 0.0, 1.0])
    assert group_weight(groups, labels, torch.zeros(9, 2)).tolist() == pytest.approx([0.5] * 6 + [1.0] * 3)


def test_a_few_variants_count_whole_however_alike():
    groups = torch.arange(20).repeat_interleave(3)
    assert group_weight(groups, (groups % 2).double(), torch.zeros(60, 1)) is None


@pytest.mark.parametrize(
    ("groups", "labels"),
    [
        ([0, 1, 2, 3], [0, 1, 1, 0]),
        ([4, 4, 4, 4], [0, 1, 1, 0]),
        ([0, 0, 1, 1], [0, 1, 0, 1]),
        ([0, 0, 1, 1], [1, 1, 1, 1]),
        ([], []),
    ],
    ids=["groups of one", "one group", "less alike than chance", "one class", "nothing"],
)
def test_each_counts_for_one_where_groups_tell_nothing(groups, labels):
    features = torch.zeros(len(groups), 1)
    assert (
        group_weight(torch.tensor(groups, dtype=torch.long), torch.tensor(labels, dtype=torch.float64), features)
        is None
    )


def test_only_what_the_features_do_not_tell_counts():
    groups, labels = labelled(0, [10] * 40, alike=0.9)  # rho 0.8: 10 sets are worth 3 / 0.8
    told = intraclass_correlation(groups, labels)
    noise = torch.randn(400, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    unknown = group_weight(groups, labels, noise)
    assert unknown.tolist() == pytest.approx([3 / (10 * told)] * 400, rel=0.02)
    own = torch.stack([labels[groups == group].mean() for group in range(40)])[groups]
    assert group_weight(groups, labels, torch.stack([own, noise[:, 0]], dim=1)) is None
    # As statistics packages regress: the same residuals as scikit-learn's ridge.
    x = (noise - noise.mean(0)) / noise.std(0, correction=0)
    left = labels - torch.from_numpy(Ridge(alpha=2.0).fit(x, labels).predict(x))
    assert unknown[0].item() == pytest.approx(3 / (10 * intraclass_correlation(groups, left)), abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(-3, 3)), max_size=40), st.randoms())
def test_weights_do_not_depend_on_the_order_or_on_names(rows, random):
    def weight(chosen: list[tuple[int, bool, int]], add: int = 0) -> list[float]:
        groups, labels, feature = torch.tensor(chosen, dtype=torch.long).reshape(-1, 3).unbind(1)
        found = group_weight(groups + add, labels.double(), feature.double().unsqueeze(1))
        return [1.0] * len(chosen) if found is None else found.tolist()

    found = weight(rows)
    assert all(0.0 < one <= 1.0 for one in found)
    order = random.sample(range(len(rows)), len(rows))
    assert weight([rows[i] for i in order], add=-9) == pytest.approx([found[i] for i in order])


@pytest.mark.parametrize("seed", range(4))
def test_many_variants_of_few_questions_do_not_make_a_fit_sure(seed):
    """Features tell which question it is, and so what its labels mostly are: of other questions they tell nothing."""
    generator = torch.Generator().manual_seed(seed)
    groups = torch.arange(20).repeat_interleave(30)
    share = 0.15 + 0.7 * torch.randint(2, (20,), generator=generator).double()[groups]
    labels = (torch.rand(600, dtype=torch.float64, generator=generator) < share).double()
    features = torch.randn(20, 2, dtype=torch.float64, generator=generator)[groups]
    features += 0.3 * torch.randn(600, 2, dtype=torch.float64, generator=generator)
    others = torch.randn(500, 2, dtype=torch.float64, generator=generator)

    def surety(weight: Tensor | None) -> float:
        return float((fit_classifier(features, labels, weight=weight).freeze()(others).p_correct - 0.5).abs().mean())

    assert surety(group_weight(groups, labels, features)) < 0.85 * surety(None)


def test_another_model_s_answers_are_no_variants():
    models, groups = ["a", "a", "b", "b", "a"], ["x", "x", "x", "y", "y"]
    found = variants_of(models, groups).tolist()
    assert found[0] == found[1]
    assert len(set(found)) == 4


@pytest.fixture
def variants(tmp_path):
    """A file of 30 questions in eight variants that are right or wrong together."""
    rows = [row | {"group": f"g{i // 8}", "label": int(i // 8 % 3 > 0)} for i, row in enumerate(toy_rows(240))]
    path = tmp_path / "variants.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("subsets", [0, 2])
def test_training_sets_count_by_their_groups_and_views_share_it(variants, subsets, tmp_path):
    data = AnswerDataModule(variants, subsets=subsets)
    module = fit(data, out=tmp_path / "fit", enable_progress_bar=False).module
    train = data.split_indices["train"]
    first = data.batch(train).features  # of all answers
    own = group_weight(data.table.variants[train], data.table.labels[train], first)
    batch = data.batch(data.training_rows())
    assert batch.weight.tolist() == pytest.approx((own / (1 + subsets)).repeat(1 + subsets).tolist())
    extract = module.features
    ours = fit_classifier(
        batch.features,
        batch.label,
        extract.widths,
        num_inducing=256 if subsets else 128,
        weight=batch.weight,
        agreement=extract.agreement,
    )
    test = data.batch("test").features
    torch.testing.assert_close(ours.freeze()(test).p_correct, module.gp.freeze()(test).p_correct, atol=1e-6, rtol=0)


def test_cross_validation_counts_by_groups_too(variants):
    data = load_evaluation_set(variants, scores=[])
    train, test = torch.arange(160), torch.arange(160, 240)
    found = gp_method("sgpu", data.blocks).predict(data, train, test).p_correct
    weight = group_weight(data.variants[train], data.labels[train], data.features[train])
    parts = (data.features[train], data.labels[train], data.widths)
    counted, each = (fit_classifier(*parts, weight=one, agreement=data.agreement) for one in (weight, None))
    assert torch.equal(found, counted.freeze()(data.features[test]).p_correct)
    assert not torch.allclose(found, each.freeze()(data.features[test]).p_correct, atol=1e-4)
