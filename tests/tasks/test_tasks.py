import gzip
import json
import re

import pytest

from sgpu_lightning.tasks import Question, TaskError, find_task, load_task, register_task, registry, task_names
from sgpu_lightning.tasks.prompt_settings import PromptSettings

FULL = {"id": "a", "question": "Who?", "gold": ["Anna"], "context": "Anna came.", "image": "a.png", "group": "g"}
SHORT = {"id": "b", "question": "Where?", "gold": "Rome"}


def write_lines(path, *lines):
    data = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


@pytest.fixture
def own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_TASKS", {})


@pytest.mark.parametrize("name", ["questions.jsonl", "questions.jsonl.gz"])
def test_a_file_of_questions_is_read(tmp_path, name):
    path = write_lines(tmp_path / name, FULL, "", SHORT, {"id": "c", "question": "Why?", "gold": None})
    image = str(tmp_path / "a.png")  # from the file's folder
    assert load_task(path) == [
        Question(id="a", question="Who?", gold=("Anna",), context="Anna came.", image=image, group="g"),
        Question(id="b", question="Where?", gold=("Rome",)),
        Question(id="c", question="Why?"),
    ]


@pytest.mark.parametrize("image", ["https://x.org/a.png", "data:image/png;base64,AAAA", "/pictures/a.png"])
def test_a_url_and_an_absolute_path_stay_as_they_are(tmp_path, image):
    (question,) = load_task(write_lines(tmp_path / "q.jsonl", FULL | {"image": image}))
    assert question.image == image


def test_questions_that_read_the_same_are_grouped_by_their_images(tmp_path):
    rows = [
        {"id": str(i), "question": "What is it?", "image": name} for i, name in enumerate(["a.png", "b.png", "a.png"])
    ]
    first, second, third = load_task(write_lines(tmp_path / "q.jsonl", *rows))
    assert first.group == third.group != second.group


def test_rivals_are_read(tmp_path):
    (question,) = load_task(write_lines(tmp_path / "q.jsonl", SHORT | {"rivals": ["New Rome"]}))
    assert question.rivals == ("New Rome",)


def test_the_first_questions_only(tmp_path):
    assert [question.id for question in load_task(write_lines(tmp_path / "q.jsonl", FULL, SHORT), limit=1)] == ["a"]


def test_a_file_takes_no_path_or_split(tmp_path):
    path = write_lines(tmp_path / "q.jsonl", FULL)
    with pytest.raises(TaskError, match="task 'q': expected no split, got 'test'; only benchmarks take one"):
        load_task(path, split="test")
    with pytest.raises(TaskError, match="task 'q': expected no path, got"):
        load_task(path, path=tmp_path)


def test_a_byte_order_mark_is_passed_over(tmp_path):
    assert load_task(write_lines(tmp_path / "q.jsonl", "\ufeff" + json.dumps(SHORT)))[0].id == "b"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"question": "Who?"}, "key 'id': expected a non-empty string, got nothing"),
        ({"id": "c"}, "key 'question': expected a non-empty string, got nothing"),
        ({"id": "c", "question": " "}, "key 'question': expected a non-empty string, got str ' '"),
        ({"id": 3, "question": "Who?"}, "key 'id': expected a string, got int 3"),
        ({"id": "c", "question": "Who?", "gold": 3}, "key 'gold': expected a string or a list of strings, got int 3"),
        ({"id": "c", "question": "Who?", "gold": ["x", 3]}, "key 'gold[1]': expected a string, got int 3"),
        ({"id": "c", "question": "Who?", "context": []}, "key 'context': expected a string, got list []"),
        (
            {"id": "c", "question": "Who?", "golds": ["x"]},
            "key 'golds': expected one of id, question, gold, context, image, group, rivals, got an unknown key",
        ),
        ({"id": "a", "question": "Who?"}, "key 'id': expected a unique id, got 'a', which"),
        (
            {"id": "c", "question": "Who?", "image": ""},
            "key 'image': expected a non-empty string, got str ''; leave the",
        ),
        ({"id": "\ud800", "question": "Who?"}, "key 'id': expected Unicode text, got a lone surrogate"),
        ({"id": "c", "question": "Who?", "gold": ["\ud800"]}, "key 'gold[0]': expected Unicode text, got a lone"),
        ([1, 2], "expected a JSON object, got list [1, 2]"),
        ('{"id": "c", ', "broken JSON at column 12: Expecting property name"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = write_lines(tmp_path / "q.jsonl", FULL, SHORT, line)
    with pytest.raises(TaskError, match=re.escape(f"q.jsonl:3: {message}")):
        load_task(path)


def test_a_truncated_gzip_file_is_named(tmp_path):
    rows = [{"id": str(i), "question": f"What is {i * 7919 % 1013}?"} for i in range(500)]
    path = write_lines(tmp_path / "q.jsonl.gz", *rows)
    whole = (tmp_path / "q.jsonl.gz").read_bytes()
    (tmp_path / "q.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TaskError, match=r"q.jsonl.gz:\d+: the compressed file is truncated"):
        load_task(path)


def test_a_file_that_is_not_gzip_is_named(tmp_path):
    (tmp_path / "q.jsonl.gz").write_text(json.dumps(FULL))
    with pytest.raises(
        TaskError, match=r"q\.jsonl.gz:1: the compressed file is truncated or damaged \(Not a gzipped file"
    ):
        load_task(str(tmp_path / "q.jsonl.gz"))


def test_a_file_that_is_not_utf_8_is_named(tmp_path):
    (tmp_path / "q.jsonl").write_bytes(json.dumps(FULL).encode() + b'\n{"id": "\xe9"}\n')
    with pytest.raises(TaskError, match=r"q.jsonl:2: expected UTF-8 text, got a byte that is not"):
        load_task(str(tmp_path / "q.jsonl"))


def test_a_missing_file_a_folder_and_an_empty_file_are_named(tmp_path):
    with pytest.raises(TaskError, match=r"none\.jsonl: expected a file of questions"):
        load_task(str(tmp_path / "none.jsonl"))
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(TaskError, match=r"folder\.jsonl: expected a file of questions"):
        load_task(str(tmp_path / "folder.jsonl"))
    with pytest.raises(TaskError, match=r"empty\.jsonl: expected at least one question, got none"):
        load_task(write_lines(tmp_path / "empty.jsonl"))


def test_a_registered_task_is_known_by_its_name(own_registry):
    @register_task("capitals")
    def capitals():
        yield Question(id="a", question="Capital of Italy?", gold=("Rome",))

    assert task_names() == ["capitals"]
    assert [question.id for question in load_task("capitals")] == ["a"]
    assert next(capitals()).gold == ("Rome",)


def test_a_registered_task_says_its_grader_and_prompt(own_registry):
    register_task("sums", grader="number", prompt=PromptSettings(system="Reckon."))(lambda: [])
    task = find_task("sums")
    assert (task.grader, task.prompt.system) == ("number", "Reckon.")


def test_an_unknown_task_lists_the_known(own_registry):
    register_task("trivia")(lambda: [])
    register_task("capitals")(lambda: [])
    message = "unknown task 'rivers': known tasks are capitals, trivia; the path of a .jsonl or .jsonl.gz file"
    with pytest.raises(TaskError, match=message):
        load_task("rivers")


def test_an_unknown_task_says_so_when_none_is_known(own_registry):
    with pytest.raises(TaskError, match=r"unknown task 'rivers.csv': known tasks are \(none\)"):
        load_task("rivers.csv")


def test_a_taken_name_is_refused(own_registry):
    register_task("trivia")(lambda: [])
    with pytest.raises(ValueError, match="task name 'trivia' is taken: known tasks are trivia"):
        register_task("trivia")


def test_a_name_that_reads_like_a_path_is_refused():
    with pytest.raises(ValueError, match=r"task name 'a\.jsonl': expected a name, got the path of a question file"):
        register_task("a.jsonl")
