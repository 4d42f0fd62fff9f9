"""The command line as a user meets it: real processes where start-up matters, `main` in process elsewhere."""

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

from sgpu_lightning import AnswerStore, __version__
from sgpu_lightning.cli.main import VERBS, main
from sgpu_lightning.training.stopping import StepProgress
from tests.toy import toy_rows, toy_store, write_toy_answers

CONFIGS = Path(__file__).parents[2] / "configs"
QUICK = ["--trainer.max_steps", "25", "--trainer.enable_progress_bar", "false"]


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def python(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, timeout=120, check=False)


def fit(*args: str) -> Path:
    """Fit quickly; the checkpoint it names."""
    assert main(["fit", *args, *QUICK]) == 0
    (checkpoint,) = sorted(Path("runs/fit").glob("version_*/checkpoints/best.ckpt"))[-1:]
    return checkpoint


class TestMain:
    def test_help_lists_every_verb_without_importing_torch(self):
        code = "import sys; from sgpu_lightning.cli.main import main; main(['--help']); print('torch' in sys.modules)"
        result = python("-c", code)
        assert result.returncode == 0
        assert all(f"  {verb} " in result.stdout for verb in VERBS)
        assert result.stdout.strip().endswith("False")

    def test_importing_the_package_imports_nothing_heavy(self):
        code = "import sys, sgpu_lightning; print([m for m in ('torch', 'numpy', 'lightning') if m in sys.modules])"
        assert python("-c", code).stdout.strip() == "[]"

    def test_version(self, capsys):
        assert main(["--version"]) == 0
        assert capsys.readouterr().out.strip() == f"sgpu {__version__}"

    def test_module_call_is_the_command(self):
        assert python("-m", "sgpu_lightning", "--version").stdout.strip() == f"sgpu {__version__}"

    def test_an_unknown_verb_lists_the_known_ones(self, capsys):
        assert main(["fti"]) == 2
        assert "unknown verb 'fti', expected one of demo, sample, import" in capsys.readouterr().err

    def test_no_verb_prints_the_help(self, capsys):
        assert main([]) == 2
        assert "usage: sgpu VERB" in capsys.readouterr().out

    @pytest.mark.parametrize("verb", [verb for verb in VERBS if VERBS[verb][0] != "learn.lightning"])
    def test_every_verb_has_help(self, verb, capsys):
        with pytest.raises(SystemExit) as stop:
            main([verb, "--help"])
        assert stop.value.code == 0
        assert f"usage: sgpu {verb}" in capsys.readouterr().out

    def test_an_error_in_the_input_is_one_message_without_traceback(self, capsys):
        assert main(["embed", "nowhere"]) == 1
        error = capsys.readouterr().err
        assert (
            "sgpu embed: nowhere: not a store (no manifest.json); make one with 'sgpu import' or 'sgpu sample'" in error
        )
        assert "Traceback" not in error

    @pytest.mark.parametrize(
        "came", [None, SystemExit(1), RuntimeError("unexpected end of file"), OSError("half written")], ids=repr
    )
    def test_an_interrupt_says_so_whatever_came_of_it(self, came, monkeypatch, capsys):
        def interrupted(*_):
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt:
                if came is None:
                    raise
                raise came  # noqa: B904 - as code that tidies up does

        monkeypatch.setattr("sgpu_lightning.cli.collect.embed.run", interrupted)
        assert main(["embed", "store"]) == 130
        assert capsys.readouterr().err == "sgpu embed: interrupted\n"

    def test_a_bug_is_no_interrupt_and_keeps_its_traceback(self, monkeypatch):
        def broken(*_):
            raise RuntimeError("a bug")

        monkeypatch.setattr("sgpu_lightning.cli.collect.embed.run", broken)
        with pytest.raises(RuntimeError, match="a bug"):
            main(["embed", "store"])


class TestImportAndEmbed:
    def test_import_then_embed_then_fit(self, toy_answers, capsys):
        assert main(["import", str(toy_answers), "--out", "store"]) == 0
        assert "240 answer sets written to store" in capsys.readouterr().out
        assert main(["embed", "store"]) == 0
        (spec,) = AnswerStore.open("store").vector_specs.values()
        assert (spec.kind, spec.source, spec.dim) == ("encoder", "minilm", 384)
        fit("--data.answers", "store")

    def test_importing_again_adds_nothing(self, toy_answers, capsys):
        for _ in range(2):
            assert main(["import", str(toy_answers), "--out", "store"]) == 0
        assert "0 answer sets written to store, 240 were there" in capsys.readouterr().out

    def test_a_record_that_changed_under_its_id_is_refused(self, tmp_path, capsys):
        path = write_toy_answers(tmp_path / "a.jsonl", 5)
        assert main(["import", str(path), "--out", "store"]) == 0
        write_toy_answers(path, 5, greedy="something else")
        assert main(["import", str(path), "--out", "store"]) == 1
        assert "answer set 'q0' is there with other content" in capsys.readouterr().err

    def test_a_file_without_records_makes_no_store(self, capsys):
        Path("empty.jsonl").write_text("\n")
        assert main(["import", "empty.jsonl", "--out", "store"]) == 1
        assert "empty.jsonl: expected answer sets, got none" in capsys.readouterr().err
        assert not Path("store").exists()

    def test_skipped_records_are_counted_and_listed(self, capsys):
        Path("bad.jsonl").write_text("\n".join([json.dumps(row) for row in toy_rows(3)] + ["{"]))
        assert main(["import", "bad.jsonl", "--out", "store", "--on_error", "skip"]) == 0
        out = capsys.readouterr().out
        assert "left out 1 bad records" in out
        assert "3 answer sets written" in out

    def test_a_bad_record_names_file_and_line(self, capsys):
        Path("bad.jsonl").write_text("\n".join([json.dumps(row) for row in toy_rows(3)] + ["{"]))
        assert main(["import", "bad.jsonl", "--out", "store"]) == 1
        assert "bad.jsonl:4: broken JSON" in capsys.readouterr().err
        assert not Path("store").exists()


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
            (["--data.answers", "[toy.jsonl,toy.jsonl]"], "answer set 'q0' is there twice, with the same answers"),
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


def test_every_module_imports():
    code = (
        "import importlib, pkgutil, sgpu_lightning as s\n"
        "for m in pkgutil.walk_packages(s.__path__, 'sgpu_lightning.'):\n"
        "    if not m.name.endswith('__main__'): importlib.import_module(m.name)\n"
        "print([n for n in s.__all__ if getattr(s, n, None) is None])"
    )
    result = python("-c", code)
    assert result.stdout.strip() == "[]", result.stderr
