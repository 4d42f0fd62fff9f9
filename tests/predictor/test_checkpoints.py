"""The predictors in checkpoints/, whichever lie there, and the command that makes them."""

from __future__ import annotations

import dataclasses
import gzip
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from checkpoints import make
from sgpu_lightning import SGPUPredictor
from sgpu_lightning.predictor import SetVectors, UnlikeTrainingWarning
from sgpu_lightning.predictor.artefact.safe_files import FILES
from tests.toy import toy_rows

FOLDERS = sorted(path.parent for path in make.HERE.glob("*/config.json"))


def answers_for(predictor: SGPUPredictor, different: int) -> list[str]:
    """As many answers as it takes, so many of them different."""
    count = predictor.config.num_answers[0]
    return [f"answer {i % different}" for i in range(count)]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_shipped_predictor_is_small_and_scores(folder):
    assert {file.name for file in folder.iterdir()} <= set(FILES)
    assert sum(file.stat().st_size for file in folder.iterdir()) < 500_000
    predictor = SGPUPredictor.from_pretrained(folder)
    assert predictor.config.license
    rng = np.random.default_rng(0)
    sets = [answers_for(predictor, 1), answers_for(predictor, 10)]
    vectors = None
    if not predictor.is_black_box:
        layers = len(predictor.config.vectors)
        draws = [rng.normal(size=(layers, len(set(answers)), 8)) for answers in sets]
        picked = [np.take(d, [i % d.shape[1] for i in range(len(a))], axis=1) for d, a in zip(draws, sets, strict=True)]
        vectors = [SetVectors(one, one[:, 0]) for one in picked]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnlikeTrainingWarning)
        agreeing, differing = predictor.score(sets, greedy=["answer 0"] * 2, vectors=vectors)
    assert 0 < differing.p_correct < agreeing.p_correct < 1


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_its_card_is_the_one_its_config_gives(folder):
    from sgpu_lightning.predictor.artefact.model_card import model_card

    config = SGPUPredictor.from_pretrained(folder).config
    picture = "calibration.svg" if (folder / "calibration.svg").exists() else None
    assert (folder / "README.md").read_text(encoding="utf-8") == model_card(config, picture=picture)


@pytest.fixture
def licensed(tmp_path) -> Path:
    """A folder like the one of real answers: sets that may be used and one that may not."""
    folder = tmp_path / "answers"
    folder.mkdir()
    for name, seed in (("mmbench__a", 0), ("oodcv__b", 1), ("sciq__c", 2)):
        with gzip.open(folder / f"{name}.jsonl.gz", "wt") as stream:
            stream.writelines(json.dumps(row | {"dataset": name}) + "\n" for row in toy_rows(150, seed=seed))
    return folder


def test_the_general_predictor_takes_any_number_and_only_what_may_be_given_away(licensed, tmp_path):
    predictor = make.make_general(licensed, tmp_path / "out")
    config = SGPUPredictor.from_pretrained(tmp_path / "out").config
    assert config == dataclasses.replace(predictor.config)
    assert config.num_answers == (3, 10)
    assert set(config.training.datasets) == {"mmbench__a", "oodcv__b"}
    assert "MIT, EnSec-AI/VLM-Uncertainty-Bench" in (tmp_path / "out" / "README.md").read_text()


def test_without_licensed_sets_it_says_so(tmp_path):
    with pytest.raises(SystemExit, match=r"expected files of triviaqa__llama-13b, .*, found none"):
        make.make_general(tmp_path, tmp_path / "out")


def test_the_testbeds_white_box_fits_become_predictors(white, black, tmp_path, monkeypatch):
    fits = {"small, white-box": white, "small, black-box": black, "digits, white-box": white}  # the demo has a test
    monkeypatch.setattr("sgpu_lightning.testbed.demo_run.run_demo", lambda *_, **__: fits)
    made = make.make_testbed(tmp_path, Console(quiet=True))
    assert [folder.name for folder in made] == ["testbed-small", "testbed-digits"]
    for folder in made:
        assert SGPUPredictor.from_pretrained(folder).config.vectors == white.load().config.vectors
