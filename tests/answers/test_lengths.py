"""Lengths of answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgpu_lightning.answers.lengths import NUM_LENGTHS, answer_lengths
from tests.answers.helpers import record


def test_lengths_by_hand():
    words = [math.log(2), math.log(3), math.log(1)]
    characters = [math.log(6), math.log(9), math.log(1)]
    found = answer_lengths(record(answers=("Paris", "in Paris", ""), greedy="in Paris"))
    expected = [words[1], np.mean(words), np.std(words), characters[1], np.mean(characters), np.std(characters)]
    assert found == pytest.approx(expected)
    assert len(found) == NUM_LENGTHS


@given(st.lists(st.text(), min_size=2, max_size=20))
def test_lengths_are_finite_and_not_negative(answers):
    found = answer_lengths(record(answers=tuple(answers), greedy=None))
    assert all(math.isfinite(value) and value >= 0 for value in found)
