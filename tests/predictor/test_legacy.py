"""Predictors written by earlier versions load and give the same numbers up to round-off."""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from checkpoints import make
from sgpu_lightning import SGPUPredictor
from sgpu_lightning.cli.main import main
from sgpu_lightning.predictor import SetVectors, UnlikeTrainingWarning

LEGACY = Path(__file__).parents[1] / "legacy"
SHIPPED = json.loads((LEGACY / "checkpoint_scores.json").read_text())


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnlikeTrainingWarning)
        yield


def assert_same(found: list[dict], expected: list[dict]) -> None:
    """The same keys and texts, and the same numbers within 1e-12."""
    assert [row.keys() for row in found] == [row.keys() for row in expected]
    for row, old in zip(found, expected, strict=True):
        for key, value in old.items():
            assert row[key] == (pytest.approx(value, abs=1e-12) if isinstance(value, float) else value), key


def read_rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_stored_predictor_scores_a_stored_store_as_before(tmp_path):
    out = tmp_path / "scores.jsonl"
    assert main(["score", str(LEGACY / "predictor"), str(LEGACY / "store"), "--out", str(out)]) == 0
    assert_same(read_rows(out), read_rows(LEGACY / "scores.jsonl"))


def test_a_stored_predictor_written_again_gives_the_same_numbers(tmp_path):
    SGPUPredictor.from_pretrained(LEGACY / "predictor").save_pretrained(tmp_path / "again")
    found = SGPUPredictor.from_pretrained(tmp_path / "again").score_file(LEGACY / "store")
    assert_same(list(found), read_rows(LEGACY / "scores.jsonl"))


def sets_for(predictor: SGPUPredictor) -> tuple[list[list[str]], list[SetVectors]]:
    """Four answer sets that agree less and less, with vectors drawn by NumPy's seeded generator."""
    rng = np.random.default_rng(0)
    count = predictor.config.num_answers[1]
    layers = len(predictor.config.vectors)
    dim = predictor.config.vectors[0].dim if predictor.is_black_box else 8
    answers, vectors = [], []
    for different in (1, 2, 5, count):
        picked = [i % different for i in range(count)]
        drawn = rng.normal(size=(layers, different, dim))
        answers.append([f"answer {i}" for i in picked])
        vectors.append(SetVectors(drawn[:, picked], drawn[:, 0]))
    return answers, vectors


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_predictor_gives_the_numbers_it_gave(name):
    predictor = SGPUPredictor.from_pretrained(make.HERE / name)
    answers, vectors = sets_for(predictor)
    scores = predictor.score(answers, greedy=["answer 0"] * len(answers), vectors=vectors)
    assert_same([dataclasses.asdict(score) for score in scores], SHIPPED[name])
