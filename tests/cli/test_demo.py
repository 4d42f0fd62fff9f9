"""The demo, with models that train for a moment."""

from __future__ import annotations

import pytest

from sgpu_lightning.cli.main import main


@pytest.mark.slow
def test_the_demo_goes_the_whole_way_and_goes_on_from_what_is_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "150")
    args = ["demo", "--out", "d", "--questions", "150", "--steps", "60"]
    assert main(args) == 0
    out = capsys.readouterr().out
    for model in ("small", "large", "digits"):
        assert f"{model}, white-box" in out
        assert f"{model}, black-box" in out
    assert "eigenvalues, hidden states" in out
    assert "its greedy answers are right on" in out
    assert "AUROC" in out
    for pair in ("small to large", "large to small", "large to digits"):
        assert f"{pair}, white-box" in out
        assert f"{pair}, black-box" in out
    assert main(args) == 0
    again = capsys.readouterr().out
    assert "train the small model" not in again
    assert "train the digits model" not in again
    assert main(["sample", "--model", "d/models/small", "--task", "d/questions.jsonl", "--out", "w", "--limit", "150",
                 "--sampling.max_new_tokens", "10", "--batch_size", "32"]) == 0  # fmt: skip
    assert main(["fit", "--data.answers", "w", "--data.encoder", "null", "--trainer.max_steps", "25"]) == 0
