"""Agreement with lm-polygraph 0.7.0 and uqlm 0.6.7 on the numbers that reference/make.py stored."""

from __future__ import annotations

import pytest

from sgpu_lightning.baselines import get_score
from tests.baselines.helpers import double, reference, reference_inputs

POLYGRAPH = sorted(reference()["lm-polygraph"])


def test_the_numbers_say_which_versions_made_them():
    versions = reference()["versions"]
    assert (versions["lm-polygraph"], versions["uqlm"], versions["rouge-score"]) == ("0.7.0", "0.6.7", "0.1.2")


@pytest.mark.parametrize("name", POLYGRAPH)
def test_scores_are_those_of_lm_polygraph(name):
    uncertainty = double(reference()["lm-polygraph"][name])
    got = get_score(name).confidence(reference_inputs())
    assert (got + uncertainty).abs().max() < 1e-10


@pytest.mark.parametrize(("name", "within"), [("exact_match", 1e-10), ("mean_cosine_uqlm", 1e-6)])
def test_scores_are_those_of_uqlm(name, within):
    confidence = double(reference()["uqlm"][name])
    assert (get_score(name).confidence(reference_inputs()) - confidence).abs().max() < within
