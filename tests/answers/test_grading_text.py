"""Text graders against torchmetrics' SQuAD and rouge-score itself, and the VQA rule against its definition."""

from __future__ import annotations

import random

import pytest
from rouge_score.rouge_scorer import RougeScorer
from torchmetrics.functional.text import squad

from sgpu_lightning.answers.grading import get_grader, rouge_l, squad_f1, vqa_accuracy
from sgpu_lightning.answers.grading.vqa import normalise_vqa

WORDS = [
    "the",
    "a",
    "cat",
    "sat",
    "on",
    "mat",
    "Paris,",
    "France!",
    "1998",
    "New",
    "York",
    "(city)",
    "isn't",
    "red-hot",
    "U.S.",
]


def random_texts(seed, count, most=8):
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, most))) for _ in range(count)]


class TestSquadF1:
    def test_equals_torchmetrics(self):
        answers, first, second = (random_texts(seed, 150) for seed in (0, 1, 2))
        for answer, *gold in zip(answers, first, second, strict=True):
            reference = squad(
                [{"prediction_text": answer, "id": "q"}],
                [{"answers": {"text": gold, "answer_start": [0] * len(gold)}, "id": "q"}],
            )
            assert squad_f1(answer, gold) == pytest.approx(float(reference["f1"]) / 100, abs=1e-6), (answer, gold)

    @pytest.mark.parametrize(
        ("answer", "gold", "score"),
        [
            ("the cat sat", ["cat"], 2 / 3),  # one of two words, one of one
            ("cat cat", ["cat"], 2 / 3),  # repeats count
            ("dog", ["cat"], 0.0),
            ("", ["cat"], 0.0),
            ("cat", [], 0.0),
            ("cat", ["dog", "the cat"], 1.0),
        ],
    )
    def test_known_values(self, answer, gold, score):
        assert squad_f1(answer, gold) == pytest.approx(score)

    @pytest.mark.parametrize(("answer", "right"), [("cat one two three", False), ("cat one two", True), ("cat", True)])
    def test_right_from_one_half(self, answer, right):
        # 2/5, 2/4, 1
        assert get_grader("squad_f1")(answer, ["cat"]) is right


class TestRougeL:
    def test_equals_rouge_score(self):
        scorer = RougeScorer(["rougeL"])
        for answer, gold in zip(random_texts(3, 150), random_texts(4, 150), strict=True):
            assert rouge_l(answer, [gold]) == pytest.approx(scorer.score(gold, answer)["rougeL"].fmeasure)

    def test_the_best_gold_answer_counts(self):
        assert rouge_l("a river", ["the sea", "a river"]) == 1.0

    def test_other_scripts_count(self):
        assert rouge_l("Это Москва", ["Москва"]) == pytest.approx(2 / 3)

    def test_without_gold_nothing_is_shared(self):
        assert rouge_l("a", []) == 0.0
        assert rouge_l("", ["a"]) == 0.0

    @pytest.mark.parametrize(("extra", "right"), [(4, True), (5, False)])
    def test_right_from_three_tenths(self, extra, right):
        # One shared word of 1 and 1 + extra: F = 2 / (2 + extra), 0.333 and 0.286.
        answer = " ".join(["cat", *"uvwxy"[:extra]])
        assert get_grader("rouge_l")(answer, ["cat"]) is right


class TestVQA:
    @pytest.mark.parametrize(("agreeing", "score"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
    def test_ten_annotators(self, agreeing, score):
        gold = ["yes"] * agreeing + [f"other {i}" for i in range(10 - agreeing)]
        assert vqa_accuracy("Yes.", gold) == pytest.approx(score)
        assert get_grader("vqa")("Yes.", gold) is (agreeing >= 2)

    @pytest.mark.parametrize(
        ("text", "normal"),
        [
            ("The Dog.", "dog"),
            ("two", "2"),
            ("Ten", "10"),
            ("none", "0"),
            ("eleven", "eleven"),
            ("dont", "don't"),
            ("couldnt've", "couldn't've"),
            ("Isnt it", "isn't it"),
            ("3.5", "3.5"),
            ("1,000", "1000"),
            ("black-white", "black white"),
            ("black - white", "black white"),
            ("yes, it is!", "yes it is"),
            ("a\tb\nc", "b c"),
            ("", ""),
            ("it's", "it's"),
            ("Unanswerable.", "unanswerable"),
        ],
    )
    def test_the_official_normal_form(self, text, normal):
        assert normalise_vqa(text) == normal

    @pytest.mark.parametrize(
        ("answer", "gold", "score"),
        [
            ("2", ["two"], 1.0),
            ("3", ["two"], 0.0),
            ("yes", ["yes", "yes"], 1.0),
            ("yes", ["yes", "no"], 0.5),
            ("yes", ["yes", "yes", "yes"], 1.0),
            ("yes", [], 0.0),
        ],
    )
    def test_fewer_annotators_must_agree_among_themselves(self, answer, gold, score):
        assert vqa_accuracy(answer, gold) == pytest.approx(score)

    def test_all_spellings_of_one_answer_agree(self):
        # The published script leaves unanimous answers as they are; the challenge's server normalises always.
        assert vqa_accuracy("two", ["Two"] * 10) == 1.0
