"""Checkpoints and predictors that hold the earlier names of the prior mean's parts load with the same numbers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from sgpu_lightning import AnswerDataModule, SGPUModule, SGPUPredictor, fit
from sgpu_lightning.cli.main import main
from sgpu_lightning.gp.frozen.frozen_gp import FrozenGP
from sgpu_lightning.gp.frozen.old_names import renamed_settings, renamed_state
from sgpu_lightning.gp.hyperparameters import fit_classifier
from sgpu_lightning.training.fitted_module import load_module
from tests.gp.test_prior_mean import SIGNS, agreeing
from tests.toy import toy_store

LEGACY = Path(__file__).parents[1] / "legacy"
OLD = {"mean_basis": "trend", "mean_weights": "trend_weights", "basis_range": "trend_range"}


def under_old_names(state: dict) -> dict:
    return {".".join(OLD.get(part, part) for part in name.split(".")): value for name, value in state.items()}


def settings_under_old_names(settings: dict) -> dict:
    old = {"num_trends" if name == "num_basis" else name: value for name, value in settings.items()}
    return old | {"base": old["base"] and settings_under_old_names(old["base"])}


def read_rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_names_are_replaced_at_any_depth_and_present_names_are_kept():
    old = {"gp.latent.trend_weights": 1, "gp.latent.trend.base.trend_range": 2, "gp.base.base.trend_weights": 3}
    new = {"gp.latent.mean_weights": 1, "gp.latent.mean_basis.base.basis_range": 2, "gp.base.base.mean_weights": 3}
    assert renamed_state(old) == renamed_state(new) == new
    untouched = {"gp.mean": 1, "features.projection.weight": 2, "gp.latent.log_length": 3}
    assert renamed_state(untouched) == untouched
    settings = {"kernel": "rbf", "num_trends": 3, "base": {"kernel": "rbf", "num_trends": 2, "base": None}}
    renamed = {"kernel": "rbf", "num_basis": 3, "base": {"kernel": "rbf", "num_basis": 2, "base": None}}
    assert renamed_settings(settings) == renamed_settings(renamed) == renamed


def test_a_frozen_gp_with_a_base_loads_from_old_names():
    features, labels = agreeing(100)
    base = fit_classifier(features, labels, [1, 2], agreement=SIGNS, num_inducing=8).freeze()
    warm = fit_classifier(*agreeing(50, seed=2), [1, 2], warm_start=base, agreement=SIGNS, num_inducing=8).freeze()
    old = under_old_names(warm.state_dict())
    assert {"trend_range", "trend_weights", "base.trend_range", "base.trend_weights"} < old.keys()
    loaded = FrozenGP.of_shape(**renamed_settings(settings_under_old_names(warm.settings)))
    loaded.load_state_dict(renamed_state(old), strict=True)
    assert torch.equal(loaded(features).p_correct, warm(features).p_correct)


def test_a_stored_checkpoint_predicts_as_before(tmp_path):
    out = tmp_path / "predictions.jsonl"
    arguments = ["--checkpoint", str(LEGACY / "best.ckpt"), "--data.answers", str(LEGACY / "store")]
    assert main(["predict", *arguments, "--out", str(out)]) == 0
    rows, expected = read_rows(out), read_rows(LEGACY / "predictions.jsonl")
    assert len(rows) == len(expected) == 60
    for row, old in zip(rows, expected, strict=True):
        assert row.keys() == old.keys()
        for key, value in old.items():
            assert row[key] == (pytest.approx(value, abs=1e-12) if isinstance(value, float) else value), key


def test_a_warm_start_from_a_stored_checkpoint_loads_from_old_names(tmp_path):
    toy_store(tmp_path / "store", count=80)
    data = AnswerDataModule(str(tmp_path / "store"), encoder=None)
    module = SGPUModule(warm_start=str(LEGACY / "best.ckpt"), num_inducing=8)
    warm = fit(data, module, out=tmp_path, max_steps=2, enable_progress_bar=False)
    checkpoint = torch.load(warm.checkpoint, weights_only=True)
    checkpoint["state_dict"] = under_old_names(checkpoint["state_dict"])
    checkpoint["warm_start"] = settings_under_old_names(checkpoint["warm_start"])
    assert "gp.latent.trend.base.trend_weights" in checkpoint["state_dict"]
    torch.save(checkpoint, tmp_path / "old.ckpt")
    batch = data.take(torch.arange(80))
    assert torch.equal(load_module(tmp_path / "old.ckpt")(batch).p_correct, warm.module.eval()(batch).p_correct)


def test_a_stored_predictor_is_written_again_under_present_names(tmp_path):
    old = SGPUPredictor.from_pretrained(LEGACY / "predictor")
    old.save_pretrained(tmp_path / "again")
    again = SGPUPredictor.from_pretrained(tmp_path / "again")
    assert again.config.gp == old.model.gp.settings
    assert "num_trends" not in again.config.gp
    unnamed = {"gp": {}, "weights_sha256": ""}
    assert dataclasses.replace(again.config, **unnamed) == dataclasses.replace(old.config, **unnamed)
    features = torch.sin(torch.arange(5.0 * len(old.model.gp.mean), dtype=torch.float64)).view(5, -1)
    for ours, theirs in zip(again.model.gp(features), old.model.gp(features), strict=True):
        assert torch.equal(ours, theirs)


def test_a_stored_predictor_scores_as_before(tmp_path):
    out = tmp_path / "scores.jsonl"
    assert main(["score", str(LEGACY / "predictor"), str(LEGACY / "store"), "--out", str(out)]) == 0
    for row, old in zip(read_rows(out), read_rows(LEGACY / "scores.jsonl"), strict=True):
        assert row.keys() == old.keys()
        for key, value in old.items():
            assert row[key] == (pytest.approx(value, abs=1e-12) if isinstance(value, float) else value), key
