"""Files written by version 0.1.0, before the modules moved into folders, still load and give the same numbers.

``tests/legacy`` holds a store, a checkpoint, a portable predictor and the configuration of a fit, with the predictions
and scores that version wrote for them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from sgpu_lightning import AnswerStore, SGPUPredictor
from sgpu_lightning.cli.main import main
from sgpu_lightning.training.fitted_module import load_module

LEGACY = Path(__file__).parent / "legacy"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A copy of the files, as the current folder: the checkpoint names its store by a relative path."""
    shutil.copytree(LEGACY, tmp_path / "legacy")
    monkeypatch.chdir(tmp_path / "legacy")
    return tmp_path / "legacy"


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def assert_same(found: list[dict], expected: list[dict]) -> None:
    assert len(found) == len(expected) == 60
    for ours, theirs in zip(found, expected, strict=True):
        for key, value in theirs.items():
            if isinstance(value, float):
                assert ours[key] == pytest.approx(value, abs=1e-12), key
            else:
                assert ours[key] == value, key


def test_the_store_opens(folder):
    store = AnswerStore.open(folder / "store")
    assert len(list(store.records())) == 60
    assert set(store.vector_specs) == {"layer1-last", "layer2-last"}


def test_the_checkpoint_predicts_the_same(folder):
    assert main(["predict", "--checkpoint", "best.ckpt", "--out", "new.jsonl"]) == 0
    assert_same(lines(folder / "new.jsonl"), lines(folder / "predictions.jsonl"))


def test_the_checkpoint_is_tested_and_loaded(folder, capsys):
    assert main(["test", "--checkpoint", "best.ckpt"]) == 0
    assert "0.875" in capsys.readouterr().out
    module = load_module(folder / "best.ckpt")
    assert module.hparams["gram_kernel"] == "linear"


def test_a_fit_goes_on_from_the_checkpoint(folder):
    assert main(["fit", "--checkpoint", "best.ckpt"]) == 0


def test_the_configuration_of_a_fit_still_fits(folder):
    assert yaml.safe_load((folder / "fit_config.yaml").read_text())["model"]["gram"] == "linear"
    assert main(["fit", "--config", "fit_config.yaml"]) == 0


def test_the_predictor_scores_the_same(folder):
    assert main(["score", "predictor", "store", "--out", "new.jsonl"]) == 0
    assert_same(lines(folder / "new.jsonl"), lines(folder / "scores.jsonl"))
    assert SGPUPredictor.from_pretrained("predictor").config.title == "legacy"


def test_the_checkpoint_exports(folder):
    assert main(["export", "best.ckpt", "--out", "again"]) == 0
    assert main(["score", "again", "store", "--out", "new.jsonl"]) == 0
    assert_same(lines(folder / "new.jsonl"), lines(folder / "scores.jsonl"))
