"""Answer sets as Lightning data: splits, labels, batches, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from sgpu_lightning import AnswerDataModule, AnswerStore
from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.data.splits import SPLITS, SplitError, split_of
from sgpu_lightning.data.vector_runs import joined_runs
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.answer_subsets import draw_answers, subset_weight
from sgpu_lightning.features.extractor import AnswerFeatures
from tests.toy import toy_rows, toy_store, write_toy_answers


def white_box(path: Path, **kwargs) -> AnswerDataModule:
    return AnswerDataModule(str(path), encoder=None, **kwargs)


def ready(data: AnswerDataModule) -> AnswerDataModule:
    data.setup()
    return data


def write_rows(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


class TestSplits:
    def test_every_labelled_set_is_in_one_split_about_as_large_as_asked(self, tmp_path):
        toy_store(tmp_path / "store")
        data = ready(white_box(tmp_path / "store", val_fraction=0.2, test_fraction=0.3))
        positions = torch.cat([data.split_indices[split] for split in SPLITS])
        assert sorted(positions.tolist()) == list(range(240))
        assert [len(data.split_indices[split]) for split in SPLITS] == pytest.approx([120, 48, 72], abs=20)

    def test_a_group_is_never_on_two_sides(self, tmp_path):
        rows = toy_rows(200)
        for i, row in enumerate(rows):
            row["group"] = f"g{i % 17}"
        data = ready(AnswerDataModule(write_rows(tmp_path / "a.jsonl", rows), encoder="minilm"))
        groups = [{data.table.rows[i].group for i in data.split_indices[split].tolist()} for split in SPLITS]
        assert not groups[0] & groups[1]
        assert not groups[1] & groups[2]
        assert not groups[0] & groups[2]

    def test_the_split_of_a_question_is_the_same_in_every_file(self):
        # The places of questions 7 to 10 on [0, 1), from sha256: 0.748, 0.361, 0.598, 0.560.
        assert [split_of(f"question {i}", 0.2, 0.4) for i in range(7, 11)] == ["train", "test", "val", "val"]

    def test_the_seed_changes_the_split(self):
        names = [f"question {i}" for i in range(100)]
        assert [split_of(n, 0.2, 0.2, 0) for n in names] != [split_of(n, 0.2, 0.2, 1) for n in names]

    def test_given_test_sets_are_all_tested_and_none_are_split_off(self, tmp_path):
        first = write_rows(tmp_path / "a.jsonl", toy_rows(100))
        other = [row | {"question": f"other {row['id']}"} for row in toy_rows(30)]
        data = ready(AnswerDataModule(first, test_answers=write_rows(tmp_path / "b.jsonl", other), val_fraction=0.2))
        assert data.split_indices["test"].tolist() == list(range(100, 130))
        assert len(data.split_indices["train"]) + len(data.split_indices["val"]) == 100

    def test_a_group_on_both_sides_of_a_given_split_is_refused(self, tmp_path):
        path = write_rows(tmp_path / "a.jsonl", toy_rows(30))
        with pytest.raises(SplitError, match=r"group 'What is thing \d+\?' is in both the \w+ and the \w+ sets"):
            ready(AnswerDataModule(path, val_answers=path))

    @pytest.mark.parametrize("fractions", [(0.5, 0.5), (-0.1, 0.2), (0.9, 0.3)])
    def test_fractions_that_leave_nothing_to_train_on_are_refused(self, fractions):
        with pytest.raises(
            SplitError, match="val_fraction and test_fraction: expected numbers >= 0 whose sum is below 1"
        ):
            AnswerDataModule("a.jsonl", val_fraction=fractions[0], test_fraction=fractions[1])


class TestLabels:
    def test_sets_without_label_are_graded_against_gold(self, tmp_path):
        rows = toy_rows(3)
        rows[0] |= {"greedy": "red", "gold": ["Red!"]}
        rows[1] |= {"greedy": "red", "gold": ["blue"], "label": 1}
        rows[2] |= {"greedy": "red", "gold": None}
        data = ready(AnswerDataModule(write_rows(tmp_path / "a.jsonl", rows)))
        assert data.table.labels[:2].tolist() == [1.0, 1.0]
        assert data.table.labels[2].isnan()

    def test_a_store_is_graded_by_its_task_s_grader_unless_one_is_given(self, tmp_path):
        records = [
            AnswerSet(id=f"q{i}", answers=("-5", "5"), greedy="-5", gold=(gold,), group=str(i))
            for i, gold in enumerate(["5", "-5.0"])
        ]
        store = AnswerStore.create(tmp_path / "s", {"kind": "sample", "task": "sums", "grader": "number"})
        store.append(records)
        file = write_rows(tmp_path / "a.jsonl", [row.to_dict() | {"dataset": "b"} for row in records])
        data = ready(AnswerDataModule([str(store.path), str(file)]))
        assert data.table.labels.tolist() == [0.0, 1.0, 1.0, 0.0]  # the file by alias, which drops the minus sign
        given = ready(AnswerDataModule(str(store.path), grader="exact"))
        assert given.table.labels.tolist() == [1.0, 0.0]

    def test_sets_without_label_are_predicted_but_not_fitted_on(self, tmp_path):
        rows = [row | ({"gold": None} if i % 2 else {}) for i, row in enumerate(toy_rows(60))]
        data = ready(AnswerDataModule(write_rows(tmp_path / "a.jsonl", rows)))
        assert sum(len(data.split_indices[split]) for split in SPLITS) == 30
        assert sum(len(batch) for batch in data.predict_dataloader()) == 60
        data.with_vectors = False
        assert sum(len(batch) for batch in data.predict_dataloader()) == 60

    def test_no_label_and_no_gold_is_refused_for_fitting(self, tmp_path):
        path = write_toy_answers(tmp_path / "a.jsonl", gold=None)
        with pytest.raises(SplitError, match="none of the 240 answer sets can be graded: expected key 'label'"):
            ready(AnswerDataModule(str(path))).require_fittable()

    def test_one_class_is_refused_for_fitting(self, tmp_path):
        path = write_toy_answers(tmp_path / "a.jsonl", label=1)
        with pytest.raises(
            SplitError, match=r"all \d+ training labels are 1: expected both right \(1\) and wrong \(0\)"
        ):
            ready(AnswerDataModule(str(path))).require_fittable()

    def test_nothing_to_validate_on_is_refused_where_validation_decides(self, tmp_path):
        path = write_toy_answers(tmp_path / "a.jsonl")
        ready(AnswerDataModule(str(path), val_fraction=0.0)).require_fittable()
        with pytest.raises(
            SplitError, match=r"expected labelled sets to train and to validate on, got \{'train': \d+, 'val': 0"
        ):
            ready(AnswerDataModule(str(path), val_fraction=0.0)).require_fittable(validated=True)

    def test_an_unknown_grader_is_refused(self):
        with pytest.raises(ValueError, match="unknown grader 'oracle', expected one of exact, alias"):
            AnswerDataModule("a.jsonl", grader="oracle")


class TestBatches:
    def test_a_batch_of_a_split_or_of_positions_has_the_vectors_of_these_sets_in_this_order(self, tmp_path):
        toy_store(tmp_path / "store")
        data = ready(white_box(tmp_path / "store"))
        everything = joined_runs(data.table, list(data.runs()))
        for which in ("train", "val", "test", torch.tensor([200, 3, 150])):
            batch = data.batch(which)
            index = data.split_indices[which] if isinstance(which, str) else which
            assert torch.equal(batch.index, index)
            assert torch.equal(batch.vectors, everything.vectors[index])
            assert torch.equal(batch.scored, everything.scored[index])
            assert torch.equal(batch.texts.ids, everything.texts.ids[index])
            assert torch.equal(batch.label, data.table.labels[index])
            assert torch.equal(batch.group, data.table.group_hashes[index])

    def test_without_vectors_the_training_sets_are_one_batch_of_positions(self, tmp_path):
        toy_store(tmp_path / "store")
        data = ready(white_box(tmp_path / "store", batch_size=32))
        data.with_vectors = False
        (batch,) = data.train_dataloader()
        assert batch.index.tolist() == data.split_indices["train"].tolist()
        assert batch.vectors is None
        for loader, split in ((data.val_dataloader(), "val"), (data.test_dataloader(), "test")):
            assert torch.cat([batch.index for batch in loader]).tolist() == data.split_indices[split].tolist()

    def test_training_batches_of_vectors_cover_the_training_sets_once_in_another_order(self, tmp_path):
        toy_store(tmp_path / "store")
        data = ready(white_box(tmp_path / "store", batch_size=32))
        index = torch.cat([batch.index for batch in data.train_dataloader()])
        assert sorted(index.tolist()) == data.split_indices["train"].tolist()
        assert index.tolist() != data.split_indices["train"].tolist()
        assert max(len(batch) for batch in data.train_dataloader()) == 32

    def test_sources_of_different_width_give_runs_but_not_one_batch(self, tmp_path):
        toy_store(tmp_path / "a", dims=(16,), count=60)
        toy_store(tmp_path / "b", dims=(24,), count=60, model="another")
        data = ready(AnswerDataModule([str(tmp_path / "a"), str(tmp_path / "b")], encoder=None))
        extract = AnswerFeatures(["spectrum"])
        assert [tuple(extract(run).shape) for run in data.runs()] == [(60, 10), (60, 10)]
        assert len(data.batch(torch.arange(60))) == 60
        with pytest.raises(SGPUError, match=r"vectors of unequal dimensions \[16, 24\]"):
            data.batch(torch.arange(120))

    def test_the_former_names_still_work_with_a_notice(self, tmp_path):
        toy_store(tmp_path / "store", count=60)
        data = ready(white_box(tmp_path / "store"))
        with pytest.warns(FutureWarning, match="members is now split_indices"):
            members = data.members
        with pytest.warns(FutureWarning, match="take is now batch"):
            batch = data.take(members["test"])
        assert torch.equal(batch.vectors, data.batch("test").vectors)


class TestSubsets:
    """Random subsets of the answers."""

    def test_a_mask_of_some_answers_keeps_from_fewest_to_all(self):
        mask = torch.arange(8) < torch.tensor([2, 3, 8]).repeat_interleave(400).unsqueeze(1)
        some = draw_answers(mask, 3, torch.Generator().manual_seed(0))
        assert not (some & ~mask).any()
        counts = some.sum(1).reshape(3, 400)
        assert set(counts[0].tolist()) == {2}
        assert set(counts[1].tolist()) == {3}
        assert set(counts[2].tolist()) == {3, 4, 5, 6, 7, 8}
        assert some[800:].double().mean(0).std() < 0.03  # each answer is as likely

    def test_subsets_share_the_weight_of_their_set(self):
        weight = torch.tensor([1.0, 0.5], dtype=torch.float64)
        assert subset_weight(None, 2, 1) is None
        assert subset_weight(weight, 2, 1).tolist() == [1.0, 0.5]
        assert subset_weight(None, 2, 2).tolist() == [0.5] * 4
        assert subset_weight(weight, 2, 2).tolist() == [0.5, 0.25, 0.5, 0.25]

    def test_there_are_as_many_as_asked_for_and_they_differ(self, tmp_path):
        toy_store(tmp_path / "store", count=60)
        data = ready(white_box(tmp_path / "store", subsets=2))
        (run,) = data.runs()
        first, second = (subset(run).mask for subset in data.answer_subsets)
        assert not torch.equal(first, second)
        assert not torch.equal(first, run.mask)
        assert torch.equal(first, data.answer_subsets[0](run).mask), "the same every time"

    @pytest.mark.parametrize(("name", "value", "least"), [("subsets", -1, 0), ("fewest_answers", 1, 2)])
    def test_settings_that_are_off_are_refused(self, name, value, least):
        with pytest.raises(SGPUError, match=f"{name}: expected at least {least}, got {value}"):
            AnswerDataModule("a.jsonl", **{name: value})


def test_skipped_records_are_listed_and_shift_nothing(tmp_path):
    rows = toy_rows(40)
    lines = [json.dumps(row) for row in rows]
    lines[7], lines[20] = "{broken", json.dumps(rows[20] | {"answers": ["only one"]})
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines))
    data = ready(AnswerDataModule(str(path), on_error="skip"))
    assert [row.id for row in data.table.rows] == [f"q{i}" for i in range(40) if i not in (7, 20)]
    assert "left out 2 bad records" in data.skipped.summary()
    alone = ready(AnswerDataModule(write_rows(tmp_path / "b.jsonl", rows[30:31])))
    position = [row.id for row in data.table.rows].index("q30")
    ours, theirs = data.batch(torch.tensor([position])), alone.batch(torch.tensor([0]))
    torch.testing.assert_close(ours.vectors, theirs.vectors, atol=1e-5, rtol=0)


def test_a_file_where_all_records_are_bad_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("{broken\n")
    with pytest.raises(SplitError, match=r"a.jsonl: expected answer sets, got none: left out 1 bad records"):
        ready(AnswerDataModule(str(path), on_error="skip"))


def test_a_missing_file_or_store_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such answer file or store folder"):
        ready(AnswerDataModule(str(tmp_path / "nowhere")))
