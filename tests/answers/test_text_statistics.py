"""Statistics of the texts of an answer set."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpu_lightning.answers.text_statistics import AnswerTexts
from tests.answers.helpers import record


def test_equal_texts_have_equal_numbers_and_the_scored_answer_stands_last():
    texts = AnswerTexts.of(record(answers=("Paris", "the Paris!", "Lyon", "Paris, France"), greedy="lyon"))
    assert texts.ids.tolist() == [0, 0, 1, 2, 1]
    assert texts.count == 4


def test_overlap_is_the_jaccard_similarity_of_words():
    texts = AnswerTexts.of(record(answers=("red dog", "the red cat", "", "red dog sleeps"), greedy=None))
    expected = [[1, 1 / 3, 0, 2 / 3], [1 / 3, 1, 0, 1 / 4], [0, 0, 1, 0], [2 / 3, 1 / 4, 0, 1]]
    np.testing.assert_allclose(texts.overlap, expected, rtol=1e-6)


def test_lengths_by_hand():
    texts = AnswerTexts.of(record(answers=("Paris", "in Paris", ""), greedy="in Paris"))
    logs = [[math.log(2), math.log(6)], [math.log(3), math.log(9)], [0, 0], [math.log(3), math.log(9)]]
    np.testing.assert_allclose(texts.lengths, logs, rtol=1e-6)


def test_logprobs_are_kept_and_unknown_ones_are_nan():
    assert AnswerTexts.of(record(answers=("a", "b"), logprobs=(-1.0, -2.0))).logprobs.tolist() == [-1.0, -2.0]
    assert np.isnan(AnswerTexts.of(record(answers=("a", "b"), logprobs=None)).logprobs).all()


@given(st.lists(st.text(), min_size=2, max_size=20))
def test_any_texts_give_finite_numbers(answers):
    texts = AnswerTexts.of(record(answers=tuple(answers), greedy=None))
    assert np.isfinite(texts.lengths).all()
    assert (texts.lengths >= 0).all()
    assert ((texts.overlap >= 0) & (texts.overlap <= 1)).all()
    assert texts.overlap.diagonal() == pytest.approx(1.0)
    assert texts.ids.max() == len(texts.overlap) - 1
