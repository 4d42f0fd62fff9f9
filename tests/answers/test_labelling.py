"""Grading of files and stores, agreement of labels, and ``sgpu label`` as a user runs it."""

from __future__ import annotations

import gzip
import json
import math
import re

import pytest

from sgpu_lightning.answers.grading import Verdict, alias_match, register_grader, registry
from sgpu_lightning.answers.labelling import compare_labels, with_verdict, write_records
from sgpu_lightning.answers.reader import read_answers
from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.cli.main import main
from tests.answers.helpers import record, row, write_rows

ROWS = [
    row(id="a", greedy="Paris", gold=["Paris"], label=1),
    row(id="b", greedy="It is Paris", gold=["Paris"], label=0),
    row(id="c", greedy="Lyon [red]", gold=["Paris"], label=1),
    row(id="d", greedy="Lyon", gold=["Paris"], label=0),
    row(id="e", greedy="Lyon", label=1),  # no gold
    row(id="f", greedy="Paris", gold=["Paris"]),  # no label
]


@pytest.fixture
def answers(tmp_path):
    return write_rows(tmp_path / "answers.jsonl", ROWS)


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")


def cells(line):
    return [cell.strip() for cell in line.strip("│┃ \n").split("│")]


def table(out, first):
    """The row of a printed table that begins with the given text."""
    return next(cells(line) for line in out.splitlines() if "│" in line and cells(line)[0] == first)


class TestAgreement:
    def test_the_four_cells_and_kappa(self):
        agreement = compare_labels([1, 1, 0, 0, 1, None], [1, 0, 1, 0, 1, 1])
        assert (agreement.both_right, agreement.only_first, agreement.only_second, agreement.both_wrong) == (2, 1, 1, 1)
        assert (agreement.count, agreement.proportion) == (5, 0.6)
        # By hand: observed 0.6, by chance 0.6 * 0.6 + 0.4 * 0.4 = 0.52.
        assert agreement.kappa == pytest.approx((0.6 - 0.52) / (1 - 0.52))

    def test_one_class_or_nothing_has_no_kappa(self):
        assert math.isnan(compare_labels([1, 1], [1, 1]).kappa)
        nothing = compare_labels([None], [1])
        assert math.isnan(nothing.kappa)
        assert math.isnan(nothing.proportion)


class TestWithVerdict:
    def test_the_label_is_the_verdict_s_and_meta_says_whose(self):
        changed = with_verdict(record(label=0, meta={"k": 1}), Verdict(True, "it fits"), alias_match, "alias")
        assert changed.label == 1
        assert changed.meta == {"k": 1, "grading": {"grader": "alias", "label_before": 0, "reason": "it fits"}}

    def test_without_a_verdict_the_label_is_unknown(self):
        assert with_verdict(record(label=1), Verdict(None), alias_match, "alias").label is None


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_half_characters_in_what_a_record_carries_are_written_as_json_spells_them(tmp_path, name):
    written = record(greedy="漢字", dataset="d", meta={"half": "\ud800"})
    write_records(tmp_path / name, [written])
    assert list(read_answers(tmp_path / name)) == [written]


def test_an_interrupted_write_leaves_what_was_there(tmp_path):
    target = tmp_path / "out.jsonl"
    target.write_text("before\n")

    def broken():
        yield record()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_records(target, broken())
    assert [file.name for file in tmp_path.iterdir()] == ["out.jsonl"]
    assert target.read_text() == "before\n"


class TestLabel:
    def test_accuracy_and_what_could_not_be_graded(self, answers, capsys):
        assert main(["label", str(answers), "--grader", "exact"]) == 0
        assert table(capsys.readouterr().out, "6") == ["6", "5", "2", "0.400", "1", "0"]

    def test_agreement_with_given_labels(self, answers, capsys):
        assert main(["label", str(answers), "--grader", "alias", "--against", "label"]) == 0
        out = capsys.readouterr().out
        assert table(out, "alias: right") == ["alias: right", "1", "1"]
        assert table(out, "alias: wrong") == ["alias: wrong", "1", "1"]
        assert "agreement 0.500 over 4 answer sets that both label; Cohen's kappa 0.000" in out
        assert "2 of 2 disagreements" in out
        assert table(out, "b") == ["b", "It is Paris", "Paris", "right", "wrong"]
        assert table(out, "c") == ["c", "Lyon [red]", "Paris", "wrong", "right"]

    def test_agreement_with_another_grader(self, answers, capsys):
        assert main(["label", str(answers), "--grader", "exact", "--against", "alias", "--examples", "0"]) == 0
        out = capsys.readouterr().out
        assert table(out, "exact: wrong") == ["exact: wrong", "1", "2"]
        assert "over 5 answer sets" in out
        assert "disagreements" not in out

    def test_a_threshold_on_the_command_line(self, answers, capsys):
        call = ["label", str(answers), "--grader", "squad_f1", "--options"]
        assert main([*call, '{"threshold": 0.9}']) == 0
        assert table(capsys.readouterr().out, "6")[2] == "2"
        assert main([*call, '{"threshold": 0.4}']) == 0
        assert table(capsys.readouterr().out, "6")[2] == "3"

    @pytest.mark.parametrize("name", ["new/labels.jsonl", "labels.jsonl.gz"])
    def test_new_labels_are_written_and_the_input_is_left_as_it_is(self, answers, tmp_path, name, capsys):
        before = answers.read_bytes()
        assert main(["label", str(answers), "--out", str(tmp_path / name)]) == 0
        assert "6 records with new labels written to" in capsys.readouterr().out
        assert answers.read_bytes() == before
        written = list(read_answers(tmp_path / name))
        assert [one.label for one in written] == [1, 1, 0, 0, None, 1]
        assert written[1].meta["grading"] == {"grader": "alias", "label_before": 0}
        assert written[4].meta["grading"] == {"grader": "alias", "label_before": 1, "reason": "no gold answers"}
        assert [(one.id, one.greedy, one.gold) for one in written] == [
            (one.id, one.greedy, one.gold) for one in read_answers(answers)
        ]
        if name.endswith(".gz"):
            assert gzip.decompress((tmp_path / name).read_bytes()).startswith(b'{"id": "a"')

    def test_a_store_is_graded_by_its_task_s_grader(self, tmp_path, capsys):
        store = AnswerStore.create(tmp_path / "store", {"kind": "sample", "task": "sums", "grader": "number"})
        store.append([record("a", greedy="it is 1,000", gold=("1000",)), record("b", greedy="-5", gold=("5",))])
        assert main(["label", str(tmp_path / "store")]) == 0
        out = capsys.readouterr().out
        assert "graded by number" in out
        assert table(out, "2")[2] == "1"

    def test_bad_records_can_be_skipped(self, tmp_path, capsys):
        file = tmp_path / "answers.jsonl"
        file.write_text(json.dumps(ROWS[0]) + "\n{\n")
        assert main(["label", str(file)]) == 1
        assert "answers.jsonl:2: broken JSON" in capsys.readouterr().err
        assert main(["label", str(file), "--on_error", "skip"]) == 0
        assert "left out 1 bad records" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            (["--grader", "rouge"], "unknown grader 'rouge', expected one of exact, alias, squad_f1"),
            (["--against", "rouge"], "unknown grader 'rouge'"),
            (["--options", '{"threshold": 1}'], "grader 'alias': expected no options, got threshold"),
            (["--out", "answers.csv"], "--out answers.csv: expected the name of a .jsonl or .jsonl.gz file"),
            (["--out", "answers.jsonl"], "--out answers.jsonl: expected a file other than the graded input"),
        ],
    )
    def test_bad_calls_are_one_clear_message(self, answers, args, message, capsys, monkeypatch):
        monkeypatch.chdir(answers.parent)
        before = answers.read_bytes()
        assert main(["label", "answers.jsonl", *args]) == 1
        assert message in capsys.readouterr().err
        assert answers.read_bytes() == before

    def test_an_output_inside_the_store_is_refused(self, tmp_path, capsys):
        store = AnswerStore.create(tmp_path / "store", {"kind": "import"})
        store.append([record()])
        assert main(["label", str(store.path), "--out", str(store.path / "new.jsonl")]) == 1
        assert "expected a file other than the graded input" in capsys.readouterr().err

    def test_labels_that_are_not_there_cannot_be_compared_with(self, tmp_path, capsys):
        file = write_rows(tmp_path / "a.jsonl", [row(gold=["Paris"])])
        assert main(["label", str(file), "--against", "label"]) == 1
        assert "--against label: expected labels to compare with, got none in 1 records" in capsys.readouterr().err

    def test_nothing_to_grade_is_said(self, tmp_path, capsys):
        (tmp_path / "a.jsonl").write_text("\n")
        assert main(["label", str(tmp_path / "a.jsonl")]) == 1
        assert "expected answer sets to grade, got none" in capsys.readouterr().err

    def test_a_judge_of_one_s_own_grades_and_keeps_what_it_says(self, answers, tmp_path, capsys, monkeypatch):
        class Judge:
            def __init__(self, model):
                self.model = model

            def grade(self, records):
                return [Verdict(None if one.id == "d" else one.greedy == "Paris", "so it is") for one in records]

            def apply(self, one, verdict):
                return with_verdict(one, verdict, alias_match, self.model)

        monkeypatch.setattr(registry, "_MAKERS", {})
        register_grader("own_judge")(Judge)
        out = tmp_path / "judged.jsonl"
        call = ["label", str(answers), "--grader", "own_judge", "--options", '{"model": "big"}', "--out", str(out)]
        assert main(call) == 0
        assert table(capsys.readouterr().out, "6") == ["6", "5", "2", "0.400", "0", "1"]
        first = next(read_answers(out))
        assert first.meta["grading"] == {"grader": "big", "label_before": 1, "reason": "so it is"}


@pytest.mark.data
@pytest.mark.parametrize(("dataset", "least", "most"), [("triviaqa", 0.94, 0.97), ("sciq", 0.74, 0.83)])
def test_the_alias_grader_s_agreement_with_judged_labels(real_answers, dataset, least, most, capsys):
    # Measured: 0.95 to 0.96 on TriviaQA, 0.75 to 0.82 on SciQ, where right answers are often worded differently.
    files = [path for path in sorted(real_answers.glob(f"{dataset}__*")) if "llama-13b" not in path.name]
    assert files
    for path in files:
        assert main(["label", str(path), "--grader", "alias", "--against", "label"]) == 0
        share = float(re.search(r"agreement (\S+) over 1400", capsys.readouterr().out).group(1))
        assert least < share < most, path.name
