"""The eight benchmarks on rows of their true schemas, as a download of the hub's repository has them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict, disable_progress_bars
from PIL import Image as Pillow

from sgpu_lightning.answers.grading import get_grader, grade_records
from sgpu_lightning.sampling.local.prompt import build_prompt
from sgpu_lightning.tasks import BENCHMARKS, TaskError, find_task, load_task, task_prompt
from sgpu_lightning.tasks.prompt_settings import PromptSettings
from tests.answers.helpers import record
from tests.tasks.schemas import IMAGENET, ROWS, TEN, dataset, hub_copy, image

disable_progress_bars()
NAMES = [benchmark.name for benchmark in BENCHMARKS]


@pytest.fixture
def load(tmp_path):
    def load(name, **options):
        return load_task(name, path=hub_copy(tmp_path, name), **options)

    return load


class PlainTokenizer:
    chat_template = None


def test_there_are_rows_for_all_eight():
    assert set(NAMES) == set(ROWS)


class TestEach:
    def test_triviaqa_asks_a_question_once_with_its_aliases(self, load):
        questions = load("triviaqa")
        assert [question.id for question in questions] == ["tc_2", "tc_33", "tc_34"]
        assert questions[0].gold == ("Harry Truman", "Presidency of Harry S. Truman", "33rd President")
        assert questions[1].question == "Which {curly} question?"
        assert questions[2].gold is None, "the test split hides its answers"

    def test_nq_open_names_questions_by_their_place(self, load):
        questions = load("nq_open")
        assert [question.id for question in questions] == ["validation-0", "validation-1"]
        assert questions[1].gold == ("Bobby Scott", "Bob Russell")

    def test_squad_groups_by_passage(self, load):
        first, second, third = load("squad")
        assert first.gold == ("Denver Broncos", "Broncos")
        assert first.context == "Denver Broncos won."
        assert first.group == second.group != third.group

    def test_vqav2_keeps_the_ten_annotators_and_groups_by_image(self, load):
        first, second, third = load("vqav2")
        assert first.id == "262148000"
        assert list(first.gold) == TEN
        assert list(second.gold) == TEN[::-1]
        assert third.gold is None
        assert (first.group, second.group, third.group) == ("coco 262148", "coco 262148", "coco 393225")
        assert first.image == second.image != third.image

    def test_okvqa_shares_groups_with_vqav2(self, load):
        first, second = load("okvqa")
        assert list(first.gold) == TEN
        assert (first.group, second.group) == ("coco 262148", "coco 393225")

    def test_vizwiz_keeps_unanswerable_as_an_answer(self, load):
        first, second, third = load("vizwiz")
        assert first.gold.count("unanswerable") == 7
        assert third.gold is None
        assert len({first.group, second.group, third.group}) == 3, "all three questions read the same"
        assert "respond with 'Unanswerable'" in find_task("vizwiz").prompt.template
        assert get_grader(find_task("vizwiz").grader)("Unanswerable.", first.gold)

    def test_cifar100_knows_synonyms_and_rivals(self, load):
        fish, lion, seal, crab = load("cifar100")
        assert fish.gold == ("aquarium fish", "goldfish", "tropical fish")
        assert crab.gold == ("cra", "crab")
        assert (lion.gold, lion.rivals) == (("lion",), ("sea lion",))
        assert seal.rivals is None
        assert lion.group == crab.group != fish.group, "the same image"

    def test_imagenet_has_all_names_of_a_class(self, load):
        tench, lion, crane, hidden = load("imagenet")
        assert tench.gold == ("tench", "Tinca tinca")
        assert (lion.gold[0], lion.rivals) == ("lion", ("sea lion",))
        assert (crane.gold, crane.rivals) == (("crane",), None)
        assert hidden.gold is None


@pytest.mark.parametrize("name", NAMES)
class TestAll:
    def test_the_gold_answer_is_right_and_another_is_wrong(self, name, load):
        grader = get_grader(find_task(name).grader)
        for question in load(name):
            if question.gold is None:
                continue
            meta = {"rivals": list(question.rivals)} if question.rivals else {}
            sets = [record(greedy=text, gold=question.gold, meta=meta) for text in (question.gold[0], "zebra crossing")]
            assert [verdict.correct for verdict in grade_records(sets, grader)] == [True, False]

    def test_the_prompt_is_sound(self, name, load):
        prompt = find_task(name).prompt
        for question in load(name):
            text = build_prompt(replace(question, image=None), PlainTokenizer(), prompt)  # the tokenizer sees none
            assert question.question in text
            assert question.context is None or text.count(question.context) == 1
            assert "{" not in text.replace(question.question, "")

    def test_images_are_files_with_the_dataset_s_bytes(self, name, load):
        _, rows, _ = ROWS[name]
        column = find_task(name).dataset.image
        for question in load(name):
            assert (question.image is not None) == (column is not None)
            if column:
                with Pillow.open(question.image) as shown:
                    assert shown.size == (12, 8)
                assert Path(question.image).read_bytes() in [row[column]["bytes"] for row in rows]
                assert question.group

    def test_the_first_questions_only(self, name, load):
        (question,) = load(name, limit=1)
        assert question.question

    def test_a_saved_dataset_a_split_dictionary_and_a_single_file_read_alike(self, name, tmp_path):
        expected = load_task(name, path=hub_copy(tmp_path, name))
        dataset(name).save_to_disk(tmp_path / "saved")
        DatasetDict({find_task(name).dataset.split: dataset(name)}).save_to_disk(tmp_path / "splits")
        for path in (tmp_path / "saved", tmp_path / "splits", tmp_path / name / ROWS[name][2]):
            assert load_task(name, path=path) == expected

    def test_the_revision_is_a_commit(self, name):
        assert re.fullmatch("[0-9a-f]{40}", find_task(name).dataset.revision)

    def test_without_the_hub_the_error_says_what_to_do(self, name):
        benchmark = find_task(name)
        message = (
            rf"{benchmark.dataset.hub_id} \({benchmark.dataset.split}\): could not be read from the hub at revision"
        )
        with pytest.raises(TaskError, match=message + f" {benchmark.dataset.revision}.*Or give the path"):
            load_task(name, limit=1)


def write_json_lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


class TestLocalCopies:
    def test_json_lines_with_image_paths(self, tmp_path):
        (tmp_path / "pictures").mkdir()
        (tmp_path / "pictures" / "a.png").write_bytes(image("red")["bytes"])
        file = write_json_lines(tmp_path / "rows.jsonl", {"image": "pictures/a.png", "label": "sea lion"})
        (question,) = load_task("imagenet", path=file)
        assert question.image == str(tmp_path / "pictures" / "a.png")
        assert question.gold == ("sea lion",)

    def test_a_missing_image_is_named(self, tmp_path):
        file = write_json_lines(tmp_path / "rows.jsonl", {"image": "none.png", "label": "sea lion"})
        with pytest.raises(TaskError, match=r"rows.jsonl, row 0: expected an image file, got none at .*none.png"):
            load_task("imagenet", path=file)

    def test_another_split_is_read_when_asked_for(self, tmp_path):
        folder = hub_copy(tmp_path, "cifar100")
        dataset("cifar100").select([0]).to_parquet(folder / "cifar100" / "train-00000-of-00001.parquet")
        assert len(load_task("cifar100", path=folder)) == 4
        assert [question.id for question in load_task("cifar100", path=folder, split="train")] == ["train-0"]
        with pytest.raises(TaskError, match="expected a split 'validation', got"):
            load_task("cifar100", path=folder, split="validation")

    def test_missing_columns_are_named(self, tmp_path):
        file = write_json_lines(tmp_path / "rows.jsonl", {"question": "Who?", "answers": ["x"]})
        message = "expected the columns question, answer of google-research-datasets/nq_open, got question, answers"
        with pytest.raises(TaskError, match=f"{message}: answer missing"):
            load_task("nq_open", path=file)

    def test_a_wrong_type_names_row_and_column(self, tmp_path):
        file = write_json_lines(tmp_path / "rows.jsonl", {"question": "Who?", "answer": "x"})
        with pytest.raises(TaskError, match=r"row 0: column 'answer': expected a list of texts, got str 'x'"):
            load_task("nq_open", path=file)

    def test_an_empty_question_names_row_and_column(self, tmp_path):
        rows = [{"question": "Who?", "answer": ["x"]}, {"question": " ", "answer": ["x"]}]
        file = write_json_lines(tmp_path / "rows.jsonl", *rows)
        with pytest.raises(TaskError, match=r"row 1: column 'question': expected text, got str ' '"):
            load_task("nq_open", path=file)

    def test_a_class_without_a_name_is_named(self, tmp_path):
        table = Dataset.from_list([{"image": image("red"), "label": 7}]).cast_column("image", IMAGENET["image"])
        table.to_parquet(tmp_path / "rows.parquet")
        with pytest.raises(TaskError, match="column 'label': expected a ClassLabel, or names, got int 7"):
            load_task("imagenet", path=tmp_path / "rows.parquet")

    def test_bytes_that_are_no_image_are_refused(self, tmp_path):
        row = {"image": {"bytes": b"\x80\x04cos\nsystem\n.", "path": None}, "label": 0}
        Dataset.from_list([row], features=IMAGENET).to_parquet(tmp_path / "rows.parquet")
        with pytest.raises(TaskError, match=r"row 0: expected an image \(JPEG, PNG, .*\), got 14 other bytes"):
            load_task("imagenet", path=tmp_path / "rows.parquet")

    def test_what_is_not_there_or_not_data_is_named(self, tmp_path):
        with pytest.raises(TaskError, match="none: expected a folder or file with a copy of rajpurkar/squad"):
            load_task("squad", path=tmp_path / "none")
        (tmp_path / "rows.parquet").write_bytes(b"not parquet")
        with pytest.raises(TaskError, match=r"rows.parquet: .*rajpurkar/squad|rows.parquet: reading broke off"):
            load_task("squad", path=tmp_path / "rows.parquet")
        (tmp_path / "texts").mkdir()
        (tmp_path / "texts" / "a.txt").write_text("a line\n")
        with pytest.raises(TaskError, match="expected parquet, json, arrow files, got what reads as 'text'"):
            load_task("squad", path=tmp_path / "texts")

    def test_an_empty_copy_is_refused(self, tmp_path):
        dataset("nq_open").select([]).to_parquet(tmp_path / "rows.parquet")
        with pytest.raises(TaskError, match="task 'nq_open': expected at least one question, got none"):
            load_task("nq_open", path=tmp_path / "rows.parquet")

    def test_a_limit_below_one_is_refused(self):
        with pytest.raises(TaskError, match="limit: expected at least 1 question, or null for all, got 0"):
            load_task("squad", limit=0)


def test_no_more_is_read_than_asked(tmp_path):
    rows = [{"image": image("red"), "label": 0}, {"image": {"bytes": b"broken", "path": None}, "label": 0}]
    Dataset.from_list(rows, features=IMAGENET).to_parquet(tmp_path / "rows.parquet")
    assert len(load_task("imagenet", path=tmp_path / "rows.parquet", limit=1)) == 1
    with pytest.raises(TaskError, match="row 1: expected an image"):
        load_task("imagenet", path=tmp_path / "rows.parquet", limit=2)


def test_an_image_is_written_once(load, monkeypatch, tmp_path):
    monkeypatch.setenv("SGPU_CACHE", str(tmp_path / "cache"))
    first, second, _ = load("vqav2")
    files = [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert len(files) == 2
    assert Path(first.image) in files
    written = Path(first.image).stat().st_mtime_ns
    load_task("vqav2", path=tmp_path / "vqav2")
    assert Path(second.image).stat().st_mtime_ns == written


def test_the_tasks_template_is_used_unless_one_is_given():
    squad = find_task("squad")
    assert task_prompt(squad, PromptSettings(style="plain")) == PromptSettings(
        style="plain", template=squad.prompt.template
    )
    own = PromptSettings(template="{context} {question}", system="Be brief.")
    assert task_prompt(squad, own) == own
    assert task_prompt(find_task("questions.jsonl"), PromptSettings()) == PromptSettings()


def test_importing_the_tasks_imports_nothing_heavy():
    heavy = ["torch", "numpy", "datasets", "PIL"]
    code = f"import sys, sgpu_lightning.tasks; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
