"""`sgpu validate`, `test` and `predict`, and a fit that goes on, from a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from sgpu_lightning.cli.main import main
from tests.cli.calls import CONFIGS, fit
from tests.toy import toy_rows, toy_store, write_toy_answers


class TestCheckpoint:
    def test_test_validate_and_predict_need_nothing_but_the_checkpoint(self, capsys):
        toy_store(Path("white"))
        checkpoint = fit("--config", str(CONFIGS / "white_box.yaml"), "--data.answers", "white")
        fitted = capsys.readouterr().out
        assert main(["test", "--checkpoint", str(checkpoint)]) == 0
        tested = capsys.readouterr().out
        row = next(line for line in fitted.splitlines() if "test" in line)
        assert row in tested
        assert main(["validate", f"--checkpoint={checkpoint}"]) == 0
        assert main(["predict", "--checkpoint", str(checkpoint), "--out", "p/p.jsonl"]) == 0
        records = [json.loads(line) for line in Path("p/p.jsonl").read_text().splitlines()]
        assert [record["id"] for record in records] == [f"q{i}" for i in range(240)]
        assert all(0 < record["p_correct"] < 1 for record in records)
        assert {"scored_answer", "label", "latent_mean", "data_entropy", "mutual_information"} <= records[0].keys()
        assert len(list(Path("runs/fit").iterdir())) == 1, "only a fit makes a new version folder"

    def test_new_answers_without_labels_are_predicted(self, toy_answers, tmp_path):
        checkpoint = fit("--data.answers", str(toy_answers))
        write_toy_answers(tmp_path / "new.jsonl", 20, gold=None, greedy=None)
        assert main(["predict", "--checkpoint", str(checkpoint), "--data.answers", "new.jsonl"]) == 0
        assert len(Path("predictions.jsonl").read_text().splitlines()) == 20

    def test_a_checkpoint_of_another_feature_set_is_refused(self, capsys):
        toy_store(Path("white"))
        checkpoint = fit("--config", str(CONFIGS / "white_box.yaml"), "--data.answers", "white")
        assert main(["test", "--checkpoint", str(checkpoint), "--model.features", "[spectrum]"]) == 1
        assert "the checkpoint was fitted with other settings: features:" in capsys.readouterr().err

    def test_the_command_line_beats_the_checkpoint(self, tmp_path, capsys):
        toy_store(Path("white"))
        checkpoint = fit("--config", str(CONFIGS / "white_box.yaml"), "--data.answers", "white")
        toy_store(tmp_path / "other", count=37)
        assert main(["predict", "--checkpoint", str(checkpoint), "--data.answers", "other"]) == 0
        assert "37 predictions written" in capsys.readouterr().out

    @pytest.mark.parametrize("change", [["--data.test_fraction", "0.6"], ["--data.split_seed", "5"]])
    def test_in_sample_figures_are_refused(self, change, capsys):
        toy_store(Path("white"))
        checkpoint = fit("--config", str(CONFIGS / "white_box.yaml"), "--data.answers", "white")
        assert main(["test", "--checkpoint", str(checkpoint), *change]) == 1
        assert "test sets are of groups the predictor was fitted on" in capsys.readouterr().err

    @pytest.mark.parametrize("content", [None, b"not a checkpoint", b"\x80\x04cos\nsystem\n."])
    def test_what_is_no_checkpoint_is_refused_and_not_unpickled(self, content, capsys):
        if content is not None:
            Path("x.ckpt").write_bytes(content)
        assert main(["test", "--checkpoint", "x.ckpt", "--data.answers", "a.jsonl"]) == 1
        error = capsys.readouterr().err
        assert ("no such file" if content is None else "not a checkpoint written by 'sgpu fit'") in error

    def test_a_fit_goes_on_from_a_checkpoint(self):
        toy_store(Path("white"))
        args = ["--config", str(CONFIGS / "white_box.yaml"), "--data.answers", "white"]
        checkpoint = fit(*args)
        assert main(["fit", *args, "--checkpoint", str(checkpoint), "--trainer.max_steps", "50"]) == 0
        steps = torch.load(checkpoint, weights_only=True)["global_step"]
        resumed = torch.load("runs/fit/version_1/checkpoints/best.ckpt", weights_only=True)
        assert resumed["global_step"] > steps

    def test_a_fit_that_went_on_with_other_sets_refuses_both_in_sample(self, tmp_path, capsys):
        toy_store(Path("white"))
        other = toy_store(tmp_path / "other", model="other", question=None)  # by id: other groups
        checkpoint = fit("--data.answers", "white", "--data.encoder", "null")
        call = ["--data.answers", str(other.path), "--data.encoder", "null", "--checkpoint", str(checkpoint)]
        assert main(["fit", *call, "--trainer.max_steps", "50"]) == 0
        capsys.readouterr()
        resumed = "runs/fit/version_1/checkpoints/best.ckpt"
        for answers in ("white", "other"):
            call = ["test", "--checkpoint", resumed, "--data.answers", answers, "--data.split_seed", "5"]
            assert main(call) == 1, answers
            assert "of groups the predictor was fitted on" in capsys.readouterr().err

    def test_predicting_needs_no_split(self, toy_answers, tmp_path, capsys):
        write_toy_answers(tmp_path / "held.jsonl", 30, question="held out")
        checkpoint = fit("--data.answers", str(toy_answers), "--data.test_answers", "held.jsonl")
        assert main(["predict", "--checkpoint", str(checkpoint), "--data.answers", "held.jsonl"]) == 0
        assert "30 predictions written" in capsys.readouterr().out

    def test_skipped_records_are_told_of_when_predicting(self, toy_answers, capsys):
        checkpoint = fit("--data.answers", str(toy_answers))
        Path("bad.jsonl").write_text("\n".join([json.dumps(row) for row in toy_rows(3)] + ["{"]))
        call = ["predict", "--checkpoint", str(checkpoint), "--data.answers", "bad.jsonl", "--data.on_error", "skip"]
        assert main(call) == 0
        assert "left out 1 bad records" in capsys.readouterr().out

    def test_answers_without_labels_cannot_be_tested(self, toy_answers, tmp_path, capsys):
        checkpoint = fit("--data.answers", str(toy_answers))
        write_toy_answers(tmp_path / "new.jsonl", 20, gold=None)
        assert main(["test", "--checkpoint", str(checkpoint), "--data.answers", "new.jsonl"]) == 1
        assert "there are no labelled test sets to evaluate on, of 20 sets" in capsys.readouterr().err
