"""`sgpu fit` as a user meets it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from sgpu_lightning.cli.main import main
from sgpu_lightning.training.trainer.step_progress import StepProgress
from tests.cli.calls import CONFIGS, QUICK, fit
from tests.toy import toy_rows, toy_store, write_toy_answers


class TestFit:
    @pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
    def test_every_shipped_config_fits(self, config, toy_answers, capsys):
        white = yaml.safe_load(config.read_text())["data"]["encoder"] is None
        if white:
            toy_store(Path("white"))
        checkpoint = fit("--config", str(config), "--data.answers", "white" if white else str(toy_answers))
        out = capsys.readouterr().out
        assert f"checkpoint: {checkpoint}" in out
        assert all(column in out for column in ("AUROC", "AUARC", "ECE", "its floor", "Brier", "NLL"))

    def test_several_sources_fit_together(self, tmp_path):
        write_toy_answers(tmp_path / "a.jsonl", 120)
        rows = [row | {"question": f"again {row['question']}"} for row in toy_rows(120, answers=7)]
        Path("b.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        fit("--config", str(CONFIGS / "black_box.yaml"), "--data.answers", "[a.jsonl,b.jsonl]")

    def test_the_fit_keeps_its_configuration_beside_the_checkpoint(self):
        toy_store(Path("white"))
        checkpoint = fit("--config", str(CONFIGS / "white_box.yaml"), "--data.answers", "white", "--model.lr", "0.01")
        kept = yaml.safe_load((checkpoint.parents[1] / "config.yaml").read_text())
        assert kept["model"]["lr"] == 0.01
        assert kept["data"]["answers"] == "white"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("model:\n  kernal: rbf\n", "kernal"),
            ("data:\n  answer: x\n", "answer"),
            ("modle:\n  kernel: rbf\n", "modle"),
        ],
    )
    def test_a_config_with_a_misspelt_key_is_refused(self, text, message, capsys):
        Path("bad.yaml").write_text(text)
        with pytest.raises(SystemExit) as stop:
            main(["fit", "--config", "bad.yaml", "--data.answers", "x.jsonl"])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            (["--data.answers", "none.jsonl"], "none.jsonl: no such file"),
            (["--data.answers", "toy.jsonl", "--data.encoder", "./none"], "encoder './none': no such folder"),
            (["--data.answers", "toy.jsonl", "--data.encoder", "null"], "an answer file holds no hidden states"),
            (["--data.answers", "white", "--data.layers", "[9]", "--data.encoder", "null"], "expected layers [9]"),
            (["--data.answers", "embedded", "--data.encoder", "other"], "expected vectors of encoder other"),
            (["--data.answers", "one_class.jsonl"], "training labels are 1"),
            (["--data.answers", "toy.jsonl", "--data.test_answers", "toy.jsonl"], "is in both the"),
            (["--data.answers", "[toy.jsonl,toy.jsonl]"], "answer set 'q0' occurs twice, with the same answers"),
            (["--data.answers", "toy.csv"], "toy.csv: no such"),
            (["--data.answers", "toy.jsonl", "--data.grader", "oracle"], "unknown grader 'oracle'"),
            (["--data.answers", "toy.jsonl", "--data.batch_size", "0"], "batch_size: expected at least 1, got 0"),
            (["--data.answers", "toy.jsonl", "--model.num_inducing", "0"], "num_inducing and projection_dim >= 1"),
            (["--data.answers", "toy.jsonl", "--model.num_eigenvalues", "2"], "num_eigenvalues: expected 3 to 1000"),
            (
                ["--data.answers", "white", "--data.encoder", "null", "--trainer.precision", "bf16-true"],
                "GP runs in float64",
            ),
            (["--data.answers", "toy.jsonl", "--trainer.limit_val_batches", "-1"], "--trainer: "),
        ],
    )
    def test_bad_input_is_one_clear_message(self, args, message, tmp_path, capsys):
        write_toy_answers(tmp_path / "toy.jsonl", 60)
        write_toy_answers(tmp_path / "one_class.jsonl", 60, label=1)
        toy_store(tmp_path / "white", count=60)
        if "embedded" in args:
            assert main(["import", "toy.jsonl", "--out", "embedded"]) == 0
            assert main(["embed", "embedded"]) == 0
        assert main(["fit", *args, *QUICK]) == 1
        assert message in capsys.readouterr().err
        if "precision" not in "".join(args):  # known only once the fit starts
            assert not Path("runs").exists()

    @pytest.mark.parametrize(("args", "shown"), [([], True), (["--trainer.enable_progress_bar", "false"], False)])
    def test_a_fit_shows_its_progress_unless_told_not_to(self, args, shown, monkeypatch):
        toy_store(Path("white"))
        started = []
        monkeypatch.setattr(StepProgress, "on_fit_start", lambda *_: started.append(True))
        call = ["fit", "--data.answers", "white", "--data.encoder", "null", "--trainer.max_steps", "3"]
        assert main([*call, *args]) == 0
        assert bool(started) is shown

    def test_a_very_short_fit_keeps_its_state(self, toy_answers, capsys):
        assert main(["fit", "--data.answers", str(toy_answers), "--trainer.max_steps", "3"]) == 0
        assert "checkpoint: runs/fit/version_0/checkpoints/best.ckpt" in capsys.readouterr().out

    def test_sets_that_are_not_used_are_counted(self, toy_answers, tmp_path, capsys):
        rows = [row | ({"gold": None} if i % 3 else {}) for i, row in enumerate(toy_rows(240))]
        (tmp_path / "part.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        fit("--data.answers", "part.jsonl")
        assert "without label or gold: 160" in capsys.readouterr().out

    def test_an_interrupted_fit_says_so(self):
        toy_store(Path("white"))
        args = ["fit", "--data.answers", "white", "--data.encoder", "null", "--trainer.min_steps", "100000"]
        code = "import sys; from sgpu_lightning.cli.main import main; sys.exit(main(sys.argv[1:]))"
        call = [sys.executable, "-c", code, *args, "--trainer.max_steps", "100000"]
        process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        checkpoint = Path("runs/fit/version_0/checkpoints/best.ckpt")
        deadline = time.monotonic() + 60
        while not checkpoint.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 130, error
        assert "sgpu fit: interrupted" in error
        assert torch.load(checkpoint, weights_only=True)["global_step"] >= 10


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "the following arguments are required: --data.answers"),
        (["--data.answer", "x"], "ambiguous option: --data.answer could match --data.answers"),
        (["--model.kernal", "rbf"], "unrecognized arguments: --model.kernal rbf"),
        (["--model.kernel", "rb"], "--model.kernel: expected one of 'rbf', 'matern12', 'matern32', 'matern52', got rb"),
        (["--trainer.max-steps", "a"], "--trainer.max_steps: expected int, got a"),
        (["--model.num-inducing", "a"], "--model.num_inducing: expected int or null, got a"),
        (["--trainer.callbacks+=Nonsense"], "got Nonsense (no known class, and no import path)"),
        (["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitr=x"], "Option 'monitr' is not accepted"),
        (["--config", "none.yaml"], "--config: File does not exist"),
        (["--config", "long.yaml"], "Unexpected config: a a a"),
    ],
)
def test_a_wrong_call_is_one_line_with_the_option_first(args, message, capsys):
    Path("long.yaml").write_text("a " * 1000)
    required = ["--data.answers", "x"] if args and args[0] != "--data.answer" else []
    with pytest.raises(SystemExit) as stop:
        main(["fit", *required, *args])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("sgpu fit: ")
    assert message in error
    assert error.endswith(" (see sgpu fit --help)\n")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--trainer.accelerator", "foo"], "--trainer: You selected an invalid accelerator name: `accelerator='foo'`"),
        (["--trainer.strategy", "foo"], "--trainer: You selected an invalid strategy name: `strategy='foo'`"),
        (["--trainer.devices", "0"], "--trainer: `Trainer(devices='0')` value is not a valid input"),
    ],
)
def test_what_the_trainer_refuses_is_one_line(args, message, capsys):
    assert main(["fit", "--data.answers", "x", *args]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert message in first
    assert second == "(SGPU_DEBUG=1 shows where)"
