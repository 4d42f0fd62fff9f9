"""From a benchmark's rows to a graded store, with a real model."""

from __future__ import annotations

import pytest

from sgpu_lightning import AnswerDataModule, AnswerStore
from sgpu_lightning.answers.grading import class_name, grade_records
from sgpu_lightning.answers.record import parse_record
from sgpu_lightning.cli.main import main
from sgpu_lightning.sampling.outcome import build_record
from sgpu_lightning.tasks import Question, find_task
from sgpu_lightning.testbed import build_language_model
from tests.tasks.schemas import hub_copy

QUICK = ["--sampling.num_answers", "3", "--sampling.max_new_tokens", "4", "--device", "cpu"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_language_model(tmp_path_factory.mktemp("models") / "small", size="small", steps=2)


@pytest.mark.parametrize("name", ["triviaqa", "nq_open", "squad"])
def test_a_benchmark_is_sampled_and_graded_with_its_grader(name, model, tmp_path, capsys):
    copy, out = hub_copy(tmp_path, name), tmp_path / "store"
    call = ["sample", "--model", str(model), "--task", name, "--task_path", str(copy), "--out", str(out)]
    # The testbed's model has a short context: its own template, or the examples would not fit.
    assert main([*call, "--limit", "2", "--prompt.template", "{question}", *QUICK]) == 0
    store = AnswerStore.open(out)
    assert store.source["task"] == name
    assert store.source["grader"] == find_task(name).grader
    records = list(store.records())
    assert [record.id for record in records] == [q.id for q in find_task(name).questions(path=copy, limit=2)]
    assert {record.dataset for record in records} == {name}
    capsys.readouterr()
    assert main(["label", str(out)]) == 0
    assert f"graded by {find_task(name).grader}" in capsys.readouterr().out
    data = AnswerDataModule(str(out), encoder=None, val_fraction=0, test_fraction=0)
    data.setup()
    assert data.num_unlabelled == 0


def test_a_question_s_rivals_reach_the_grader():
    question = Question(id="a", question="What is it?", gold=("lion",), rivals=("sea lion",))
    record = build_record(question, ["a sea lion"] * 3, [-1.0] * 3, [3] * 3, [False] * 3, "m")
    assert record.meta["rivals"] == ["sea lion"]
    (verdict,) = grade_records([parse_record(record.to_dict())], class_name)
    assert verdict.correct is False


def test_repeats_among_gold_answers_survive_the_store(tmp_path):
    gold = ["net", "net", "mesh"]
    store = AnswerStore.create(tmp_path / "s", {"kind": "import"})
    store.append([parse_record({"id": "a", "answers": ["x", "y"], "gold": gold})])
    (record,) = AnswerStore.open(tmp_path / "s").records()
    assert list(record.gold) == gold
