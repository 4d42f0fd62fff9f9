from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from sgpu_lightning.answers.grading import alias_match, exact_match
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.tasks import load_task
from sgpu_lightning.tasks.digits import (
    ASKED,
    IMAGE_SIZE,
    QUESTIONS,
    STRENGTHS,
    VARIANTS,
    WORDS,
    phrasings,
    question_images,
    training_images,
)
from sgpu_lightning.testbed import digit_questions
from sgpu_lightning.testbed.demo_examples import picture


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    return digit_questions(tmp_path_factory.mktemp("digits"))


def source_of(question):
    return int(question.id.split("-")[1])


def test_the_task_gives_every_question_once():
    questions = load_task("digits")
    assert len({question.id for question in questions}) == len(questions) == ASKED * VARIANTS
    assert {question.question for question in questions} == set(QUESTIONS)


def test_gold_is_the_digit_scikit_learn_says_as_numeral_and_word(asked):
    digits = load_digits().target
    for question in asked:
        digit = digits[source_of(question)]
        assert question.gold == (str(digit), WORDS[digit])


def test_the_variants_of_an_image_share_a_group_and_differ_in_strength(asked):
    strengths = {}
    for question in asked:
        assert question.group == f"digit {source_of(question)}"
        strengths.setdefault(question.group, set()).add(question.id[-1])
    assert {len(found) for found in strengths.values()} == {VARIANTS}
    assert set().union(*strengths.values()) == {str(i) for i in range(len(STRENGTHS))}


def test_no_image_asked_about_is_trained_on(asked):
    trained = set(training_images(20_000).sources.tolist())
    assert len(trained) == len(load_digits().target) - ASKED
    assert not trained & {source_of(question) for question in asked}


def test_a_clear_image_shows_the_source_enlarged(asked):
    images = load_digits().images / 16
    clear = [question for question in asked if question.id.endswith("-0")]
    errors = []
    for question in clear:
        with Image.open(question.image) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "L", (IMAGE_SIZE, IMAGE_SIZE))
            pixels = np.asarray(image)
        step = IMAGE_SIZE // 8
        small = pixels[::step, ::step]
        assert np.array_equal(small.repeat(step, 0).repeat(step, 1), pixels)
        errors.append(small / 255 - images[source_of(question)])
    # Clipping to [paper, ink] removes half of the noise where the source is fully white or black.
    assert 0.5 * STRENGTHS[0].noise < np.std(errors) < STRENGTHS[0].noise


def test_images_get_further_from_their_source_with_strength():
    views = question_images()
    images = load_digits().images[views.sources] / 16
    distance = np.abs(views.pixels[:, ::3, ::3] / 255 - images).mean(axis=(1, 2))
    means = [distance[views.strengths == strength].mean() for strength in range(len(STRENGTHS))]
    assert means == sorted(means)


def test_the_terminal_shows_paper_blank_and_ink_full(tmp_path):
    pixels = np.zeros((24, 24), dtype=np.uint8)
    pixels[3:6, 6:9] = 255
    Image.fromarray(pixels).save(tmp_path / "image.png")
    rows = [" " * 20] * 8
    rows[1] = f"{' ' * 8}██{' ' * 10}"
    assert picture(tmp_path / "image.png").split("\n") == rows


def test_a_covered_square_has_one_grey(monkeypatch):
    from sgpu_lightning.tasks import digits

    noiseless = tuple(digits.Strength(0.0, strength.covered) for strength in STRENGTHS)
    monkeypatch.setattr(digits, "STRENGTHS", noiseless)
    views = digits.question_images()
    images = np.rint(load_digits().images[views.sources] / 16 * 255)
    for view, image, strength in zip(views.pixels[:, ::3, ::3], images, views.strengths, strict=True):
        changed = view != image
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        side = STRENGTHS[strength].covered
        assert len(set(view[changed].tolist())) <= 1
        assert all(len(found) == 0 or np.ptp(found) < side for found in (rows, columns))


def test_a_seed_fixes_everything_and_another_changes_it(tmp_path, asked):
    again = digit_questions(tmp_path)
    assert [(q.id, q.question, q.gold, q.group) for q in again] == [(q.id, q.question, q.gold, q.group) for q in asked]
    for one, other in zip(again, asked, strict=True):
        with Image.open(one.image) as a, Image.open(other.image) as b:
            assert np.array_equal(np.asarray(a), np.asarray(b))
    assert {q.id for q in digit_questions(tmp_path, seed=1)} != {q.id for q in asked}
    assert len(list(tmp_path.iterdir())) == 2


def test_images_that_are_there_are_not_written_again(tmp_path):
    first = digit_questions(tmp_path, count=3)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert sorted(map(str, written)) == sorted(question.image for question in first)
    assert digit_questions(tmp_path, count=3) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == written


def test_images_go_to_the_cache_folder_where_none_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("SGPU_CACHE", str(tmp_path))
    assert re.fullmatch(
        rf"{tmp_path}/digits-[0-9a-f]{{12}}/digit-\d{{4}}-[0-3]\.png", digit_questions(count=1)[0].image
    )


def test_fewer_questions_are_the_first_of_all(tmp_path, asked):
    assert [question.id for question in digit_questions(tmp_path, count=5)] == [q.id for q in asked[:5]]


@pytest.mark.parametrize("count", [0, ASKED * VARIANTS + 1])
def test_a_count_out_of_range_is_refused(tmp_path, count):
    with pytest.raises(SGPUError, match=f"count: expected 1 to {ASKED * VARIANTS} questions, got {count}"):
        digit_questions(tmp_path, count=count)


def test_every_wording_is_right_for_its_digit_alone():
    golds = [(str(digit), WORDS[digit]) for digit in range(10)]
    for digit in range(10):
        for answer in phrasings(digit):
            assert [alias_match(answer, gold) for gold in golds] == [other == digit for other in range(10)]
    assert exact_match("An eight.", golds[8])
    assert "It is an eight." in phrasings(8)
    assert "It is a seven." in phrasings(7)


def test_importing_tasks_and_testbed_imports_nothing_heavy():
    heavy = ("torch", "sklearn", "PIL", "transformers")
    code = f"import sys, sgpu_lightning.tasks; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == "[]"
