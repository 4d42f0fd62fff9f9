"""A user's callbacks are added to ours: the fit still stops by itself and keeps its best state."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sgpu_lightning.cli.main import main
from tests.toy import toy_store

LEARNED = ["--model.projection_dim", "4"]
OWN = "--trainer.callbacks+=lightning.pytorch.callbacks."
CALL = ["fit", "--data.answers", "white", "--data.encoder", "null"]


@pytest.fixture(autouse=True)
def _white():
    toy_store(Path("white"), count=120)


@pytest.mark.parametrize("learned", [[], LEARNED], ids=["gp", "learned features"])
def test_a_fit_with_a_callback_of_the_users_stops_by_itself_and_names_its_best_state(learned, capsys):
    assert main([*CALL, *learned, f"{OWN}LearningRateMonitor"]) == 0
    assert "checkpoint: runs/fit/version_0/checkpoints/best.ckpt" in capsys.readouterr().out
    assert torch.load("runs/fit/version_0/checkpoints/best.ckpt", weights_only=True)["global_step"] < 1000


def test_a_second_checkpoint_of_the_users_is_kept_beside_ours(capsys):
    own = [f"{OWN}ModelCheckpoint", "--trainer.callbacks.filename=mine", "--trainer.callbacks.every_n_train_steps=1"]
    assert main([*CALL, *own]) == 0
    assert "checkpoint: runs/fit/version_0/checkpoints/best.ckpt" in capsys.readouterr().out
    assert Path("runs/fit/version_0/checkpoints/mine.ckpt").exists()


def test_an_early_stop_of_the_users_on_our_measure_is_added(capsys):
    own = [f"{OWN}EarlyStopping", "--trainer.callbacks.monitor=val/nll", "--trainer.callbacks.patience=1"]
    assert main([*CALL, *LEARNED, *own]) == 0
    content = torch.load("runs/fit/version_0/checkpoints/last.ckpt", weights_only=True)
    patience = {name.partition("{")[0]: state.get("patience") for name, state in content["callbacks"].items()}
    assert (patience["EarlyStopping"], patience["ValidationPlateau"]) == (1, 8)
    assert "best.ckpt" in capsys.readouterr().out


def test_a_progress_bar_of_the_users_replaces_ours(capsys):
    assert main([*CALL, f"{OWN}TQDMProgressBar", "--trainer.max_steps", "3"]) == 0
    assert "best.ckpt" in capsys.readouterr().out


def test_the_configuration_kept_holds_the_users_callbacks_alone():
    assert main([*CALL, f"{OWN}LearningRateMonitor", "--trainer.max_steps", "3"]) == 0
    kept = Path("runs/fit/version_0/config.yaml").read_text()
    assert "LearningRateMonitor" in kept
    assert "ElboPlateau" not in kept
