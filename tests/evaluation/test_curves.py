"""Curves over labels and answers: draws by group, warm starts without shared questions, answer subsets, the verb."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sklearn.metrics import brier_score_loss, roc_auc_score

from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.cli.main import main
from sgpu_lightning.errors import EvaluationError
from sgpu_lightning.evaluation.common.evaluation_settings import AnswerSettings, LabelSettings
from sgpu_lightning.evaluation.common.methods import DEFAULT, HeldOutPredictions
from sgpu_lightning.evaluation.common.set_reader import load_evaluation_set
from sgpu_lightning.evaluation.curves.answer_curve import ONE, PER_N, SUBSETS, answer_points, with_differences
from sgpu_lightning.evaluation.curves.curve_points import METRICS, Point, mean_over_sets, measure, whole_groups
from sgpu_lightning.evaluation.curves.label_curve import (
    CONSTANT,
    KNOWN,
    WARM,
    ZERO,
    LabelCurve,
    against_best,
    shorten,
)
from sgpu_lightning.evaluation.curves.label_draws import LabelSplit, fit_base
from sgpu_lightning.features.answer_subsets import AnswerSubset, draw_answers
from sgpu_lightning.gp.hyperparameters import fit_classifier
from sgpu_lightning.seeding import generator_of
from tests.toy import random_batch, toy_rows, toy_store, toy_vectors

QUICK = {"encoder": None, "seed": 0}


def store_of(path: Path, rows: list[dict]) -> Path:
    """A store of these records with hidden states."""
    from sgpu_lightning.answers.record import parse_record
    from tests.toy import hidden_spec

    records = [parse_record(row) for row in rows]
    store = AnswerStore.create(path, {"kind": "sample", "model": "toy"})
    spec = hidden_spec(16)
    store.add_vector_set(spec)
    store.append(records, {spec.name: toy_vectors(records, 16)})
    return store.path


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> list[Path]:
    """Three stores; two share their questions."""
    folder = tmp_path_factory.mktemp("curves")
    other = [row | {"question": f"other {row['question']}"} for row in toy_rows(240, seed=1)]
    return [
        toy_store(folder / "first").path,
        toy_store(folder / "again", model="another").path,
        store_of(folder / "other", other),
    ]


@pytest.fixture(scope="module")
def sets(paths):
    return [load_evaluation_set(path, encoder=None) for path in paths]


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    """Every question asked three times."""
    rows = [row | {"group": f"g{i // 3}"} for i, row in enumerate(toy_rows(240))]
    return load_evaluation_set(store_of(tmp_path_factory.mktemp("grouped") / "s", rows), encoder=None)


class TestDraws:
    def test_groups_are_whole_and_never_evaluated_on_as_well(self, grouped):
        split = LabelSplit(grouped, LabelSettings(**QUICK))
        labelled, _ = split.draw(20, 0)
        assert len(labelled) == 21
        inside, outside = ({grouped.groups[i] for i in rows.tolist()} for rows in (labelled, split.evaluated))
        assert len(inside) == 7
        assert not inside & outside
        assert len(split.pool) + len(split.evaluated) == 240
        assert 0.3 < len(split.pool) / 240 < 0.7

    def test_a_group_is_evaluated_on_in_every_file_or_in_none(self, sets):
        first, again = (LabelSplit(data, LabelSettings(**QUICK)) for data in sets[:2])
        questions = [{half.data.groups[i] for i in half.evaluated.tolist()} for half in (first, again)]
        assert questions[0] == questions[1]

    def test_draws_differ_and_more_labels_hold_those_of_fewer(self, grouped):
        split = LabelSplit(grouped, LabelSettings(**QUICK))
        few, more, other = (set(split.draw(k, draw)[0].tolist()) for k, draw in ((20, 0), (40, 0), (20, 1)))
        assert few < more
        assert few != other
        assert set(LabelSplit(grouped, LabelSettings(**QUICK)).draw(20, 0)[0].tolist()) == few

    def test_sets_to_evaluate_on_are_capped(self, grouped):
        assert len(LabelSplit(grouped, LabelSettings(**QUICK, evaluate_on=30)).evaluated) == 30

    def test_a_draw_of_one_class_is_drawn_again_and_counted(self, sets):
        split = LabelSplit(sets[0], LabelSettings(**QUICK))
        draws = [split.draw(2, draw) for draw in range(10)]
        assert all(len(torch.unique(sets[0].labels[rows])) == 2 for rows, _ in draws)
        assert sum(redrawn for _, redrawn in draws) > 0

    def test_more_labels_than_there_are_to_draw_from_are_left_out_and_counted(self, sets):
        curve = LabelCurve(sets, LabelSettings(**QUICK, labels=[200], draws=2, warm_start=False))
        curve.add(sets[0])
        assert not curve.points
        assert "first: 2 of 2 draws of 200 labels were left out: there are" in curve.notes[0]

    def test_a_single_class_to_evaluate_on_is_refused(self, grouped):
        wrong = replace(grouped, labels=torch.zeros(len(grouped), dtype=torch.float64))
        with pytest.raises(EvaluationError, match=r"answer sets to evaluate on.*are of one class"):
            LabelSplit(wrong, LabelSettings(**QUICK))


class TestBase:
    def test_it_is_fitted_on_the_other_files_without_the_groups_left_out(self, sets):
        first, _, other = sets
        base = fit_base(first, sets, set(first.groups).__contains__)
        expected = fit_classifier(other.features, other.labels, other.widths, agreement=other.agreement).freeze()
        torch.testing.assert_close(
            base(first.features).p_correct, expected(first.features).p_correct, atol=1e-4, rtol=0
        )

    def test_where_no_question_is_shared_both_bases_are_the_same(self, curve):
        assert metrics_of(curve, "other", 20, WARM) == metrics_of(curve, "other", 20, WARM + KNOWN)
        assert metrics_of(curve, "first", 20, WARM) != metrics_of(curve, "first", 20, WARM + KNOWN)

    def test_without_other_questions_there_is_none_and_it_is_said(self, sets):
        curve = LabelCurve(sets[:2], LabelSettings(**QUICK, labels=[20], draws=1))
        curve.add(sets[0])
        methods = {point.method for point in curve.points}
        assert WARM not in methods
        assert {WARM + KNOWN, ZERO + KNOWN} <= methods
        assert "first: the other files have nothing to fit sgpu_warm on" in curve.notes

    def test_no_base_sees_a_question_that_is_evaluated_on(self, sets, monkeypatch):
        left_out = []

        def spy(target, sets, without, seed=0):
            left_out.append([group for group in target.groups if without(group)])

        monkeypatch.setattr("sgpu_lightning.evaluation.curves.label_curve.fit_base", spy)
        curve = LabelCurve(sets, LabelSettings(**QUICK, labels=[20], draws=1))
        curve.add(sets[0])
        evaluated = {sets[0].groups[i] for i in LabelSplit(sets[0], curve.settings).evaluated.tolist()}
        assert set(left_out[0]) == set(sets[0].groups)
        assert set(left_out[1]) == evaluated


@pytest.fixture(scope="module")
def curve(sets):
    found = LabelCurve(sets, LabelSettings(**QUICK, labels=[20, 60], draws=2))
    for data in sets[::2]:
        found.add(data)
    return found


def metrics_of(curve: LabelCurve, name: str, size: int, method: str) -> dict[str, float]:
    return next(one for one in curve.points if (one.set, one.size, one.method) == (name, size, method)).metrics


class TestLabelCurve:
    def test_every_method_is_measured_at_every_size_on_every_file(self, curve):
        methods = {point.method for point in curve.points}
        assert {DEFAULT, CONSTANT, WARM, ZERO, "sgpu_spectrum", "boosted_spectrum", "match_fraction"} <= methods
        assert len(curve.points) == 2 * 2 * len(methods)

    def test_metrics_are_the_mean_over_draws_of_sets_that_were_not_labelled(self, sets, curve):
        data, split = sets[2], LabelSplit(sets[2], curve.settings)
        labels, expected = data.labels[split.evaluated], []
        for draw in range(2):
            rows, _ = split.draw(60, draw)
            fitted = fit_classifier(data.features[rows], data.labels[rows], data.widths, agreement=data.agreement)
            p = fitted.freeze()(data.features[split.evaluated]).p_correct
            expected.append((roc_auc_score(labels, p), brier_score_loss(labels, p)))
        found = metrics_of(curve, data.name, 60, DEFAULT)
        assert found["auroc"] == pytest.approx((expected[0][0] + expected[1][0]) / 2, abs=1e-9)
        assert found["brier"] == pytest.approx((expected[0][1] + expected[1][1]) / 2, abs=1e-9)

    def test_what_needs_no_labels_is_the_same_for_every_number_of_them(self, sets, curve):
        first = sets[0]
        rows = LabelSplit(first, curve.settings).evaluated
        p = fit_base(first, sets, set(first.groups).__contains__)(first.features[rows]).p_correct
        expected = measure(HeldOutPredictions(p, p, p), first.labels[rows])
        for size in (20, 60):
            assert metrics_of(curve, "first", size, ZERO) == pytest.approx(expected)

    def test_with_few_labels_a_warm_start_is_better_than_a_cold_one(self, curve):
        rows = {(row["labels"], row["method"]): row for row in mean_over_sets(curve.points, "labels")}
        assert rows[20, WARM]["brier"] < rows[20, DEFAULT]["brier"]
        assert rows[20, DEFAULT]["brier"] < rows[20, CONSTANT]["brier"]

    def test_the_best_unsupervised_score_is_chosen_by_its_mean_for_each_metric(self, curve):
        mean = mean_over_sets(curve.points, "labels")
        scores = [row for row in mean if row["kind"] == "unsupervised" and row["labels"] == 20]
        row = next(row for row in against_best(mean) if (row["labels"], row["method"]) == (20, DEFAULT))
        ours = next(row for row in mean if (row["labels"], row["method"]) == (20, DEFAULT))
        assert row["auroc_difference"] == ours["auroc"] - max(score["auroc"] for score in scores)
        assert row["brier_difference"] == ours["brier"] - min(score["brier"] for score in scores)

    def test_few_unsupervised_scores_are_shown_and_all_others_kept(self, curve):
        mean = mean_over_sets(curve.points, "labels")
        short = shorten(mean, 3)
        shown = {row["method"] for row in short if row["kind"] == "unsupervised"}
        assert len(shown) == 3
        assert {row["method"] for row in mean if row["kind"] != "unsupervised"} <= {row["method"] for row in short}

    @pytest.mark.parametrize(
        ("change", "message"),
        [({"labels": [1]}, "labels: expected at least 2, got 1"), ({"draws": 0}, "draws: expected")],
    )
    def test_sizes_that_are_too_small_are_refused(self, change, message):
        with pytest.raises(EvaluationError, match=message):
            LabelSettings(**change)


def test_a_mean_is_over_all_files_of_a_size_and_leaves_out_methods_that_some_lack():
    def point(name: str, size: int, method: str, value: float) -> Point:
        return Point(set=name, size=size, method=method, kind="sgpu", metrics=dict.fromkeys(METRICS, value))

    points = [point("a", 5, "x", 0.5), point("b", 5, "x", 0.7), point("a", 5, "y", 0.9), point("a", 9, "y", 0.9)]
    rows = mean_over_sets(points, "n")
    assert [(row["n"], row["method"], row["sets"]) for row in rows] == [(5, "x", 2), (9, "y", 1)]
    assert rows[0]["brier"] == pytest.approx(0.6)


def test_more_sets_than_there_are_take_all():
    assert whole_groups(["a", "b", "a"], 9, generator_of(0)).tolist() == [True] * 3
    assert whole_groups(["a", "b", "a"], 1, generator_of(0)).sum() in (1, 2)


class TestSubsets:
    def test_a_number_of_answers_can_be_held_fixed(self):
        mask = torch.ones(50, 8, dtype=torch.bool)
        mask[:10, 4:] = False
        found = draw_answers(mask, 5, torch.Generator().manual_seed(0), 5)
        assert found.sum(1).tolist() == [4] * 10 + [5] * 40
        assert not (found & ~mask).any()
        assert len({tuple(row) for row in found[10:].tolist()}) > 20

    def test_a_subset_changes_the_mask_alone_and_is_the_same_each_time(self):
        batch = random_batch(answers=8)
        seen = AnswerSubset(3, 2, 4)(batch)
        assert torch.equal(seen.mask, AnswerSubset(3, 2, 4)(batch).mask)
        assert not torch.equal(seen.mask, AnswerSubset(4, 2, 4)(batch).mask)
        assert seen.scored is batch.scored
        assert seen.vectors is batch.vectors

    def test_features_of_a_subset_are_those_of_a_record_with_these_answers(self, tmp_path):
        rows = toy_rows(60, answers=6)
        seen = load_evaluation_set(
            store_of(tmp_path / "all", rows), encoder=None, scores=[], subsets=[AnswerSubset(1, 3, 3)]
        )
        mask = AnswerSubset(1, 3, 3)(random_batch(60, answers=6)).mask
        kept = [
            row | {"answers": [text for text, keep in zip(row["answers"], own, strict=True) if keep]}
            for row, own in zip(rows, mask.tolist(), strict=True)
        ]
        blocks = ["match_fraction", "overlap_spectrum", "overlap_similarity", "lengths"]
        few = load_evaluation_set(store_of(tmp_path / "few", kept), encoder=None, scores=[], blocks=blocks)
        parts = dict(zip(seen.blocks, torch.split(seen.subsets[0], seen.widths, dim=1), strict=True))
        torch.testing.assert_close(torch.cat([parts[block] for block in blocks], dim=1), few.features)


@pytest.fixture(scope="module")
def points(paths):
    return answer_points(paths[0], AnswerSettings(**QUICK, answers=[3, 10, 15], folds=3))


class TestAnswerCurve:
    def test_each_predictor_is_measured_at_each_number_the_file_has(self, points):
        assert {point.size for point in points} == {3, 10}
        assert {point.method for point in points} == {ONE, SUBSETS, PER_N}

    def test_at_all_answers_one_is_per_n(self, points):
        found = {(point.size, point.method): point.metrics for point in points}
        assert found[10, ONE] == found[10, PER_N]
        assert found[3, ONE] != found[3, PER_N]

    def test_with_fewer_answers_subsets_are_better_calibrated_than_one(self, points):
        found = {(point.size, point.method): point.metrics for point in points}
        assert found[3, SUBSETS]["nll"] < found[3, ONE]["nll"]

    def test_some_of_the_sets_are_taken_by_group(self, paths, points):
        few = answer_points(paths[0], AnswerSettings(**QUICK, answers=[10], sets=80, folds=2))
        assert few[0].metrics != next(one for one in points if one.size == 10).metrics

    def test_fewer_answers_rank_worse(self, points):
        found = {(point.size, point.method): point.metrics for point in points}
        assert found[3, PER_N]["auroc"] < found[10, PER_N]["auroc"]

    def test_differences_are_to_per_n(self, points):
        rows = with_differences(mean_over_sets(points, "answers"))
        assert [(row["answers"], row["method"]) for row in rows[:3]] == [(3, ONE), (3, SUBSETS), (3, PER_N)]
        assert rows[1]["auroc_less"] == rows[1]["auroc"] - rows[2]["auroc"]
        assert rows[2]["brier_less"] == 0.0

    def test_repeated_numbers_are_refused(self):
        with pytest.raises(EvaluationError, match="answers: expected distinct numbers of at least 2, got"):
            AnswerSettings(answers=[3, 3])


class TestVerb:
    def test_labels_shows_and_saves_the_tables(self, paths, tmp_path, capsys):
        call = ["curve", "labels", str(paths[0]), str(paths[2]), "--encoder", "null", "--draws", "1"]
        assert main([*call, "--labels", "[20]", "--rows", "2", "--out", str(tmp_path)]) == 0
        printed = capsys.readouterr().out
        assert "sgpu_warm" in printed
        assert "less the best unsupervised score" in printed
        content = json.loads((tmp_path / "curve.json").read_text())
        assert content["settings"]["labels"] == [20]
        assert {row["set"] for row in content["sets"]} == {"first", "other"}
        with (tmp_path / "mean.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        assert float(rows[0]["auroc"]) == max(float(row["auroc"]) for row in rows)
        assert (tmp_path / "tables.md").read_text().startswith("| labels | method | kind |")

    def test_without_a_warm_start_there_is_none(self, paths, capsys):
        call = ["curve", "labels", str(paths[0]), "--encoder", "null", "--draws", "1", "--labels", "[20]"]
        assert main([*call, "--warm_start", "false"]) == 0
        assert "sgpu_warm" not in capsys.readouterr().out

    @pytest.mark.parametrize(
        "call", [["labels", "--labels", "[9999]", "--draws", "1"], ["answers", "--answers", "[99]"]]
    )
    def test_numbers_above_what_every_file_has_are_one_message(self, call, paths, capsys):
        verb, *options = call
        assert main(["curve", verb, *options, "--encoder", "null", str(paths[0])]) == 1
        assert f"{verb}: no file has as many as any number asked for" in capsys.readouterr().err

    def test_answers_shows_and_saves_the_table(self, paths, tmp_path, capsys):
        call = ["curve", "answers", str(paths[0]), "--encoder", "null", "--answers", "[3]", "--folds", "2"]
        assert main([*call, "--out", str(tmp_path)]) == 0
        assert "subsets" in capsys.readouterr().out
        assert {row["method"] for row in json.loads((tmp_path / "curve.json").read_text())["mean"]} == {
            ONE,
            SUBSETS,
            PER_N,
        }
