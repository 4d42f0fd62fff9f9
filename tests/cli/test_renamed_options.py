"""Old option names: accepted with one line on standard error, on the command line and in configuration files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpu_lightning.cli.main import main
from sgpu_lightning.cli.renamed_options import RENAMED, rename_keys, rename_options
from sgpu_lightning.errors import SGPUError

LEGACY = Path(__file__).parents[1] / "legacy"
NAMES = {"model.gram": "model.gram_kernel", "caution": "prior_strength"}


def renamed(args: list[str]) -> list[str]:
    return rename_options("fit", args, NAMES)


class TestCommandLine:
    @pytest.mark.parametrize(
        ("args", "expected"),
        [
            (["--model.gram", "rbf"], ["--model.gram_kernel", "rbf"]),
            (["--model.gram=rbf"], ["--model.gram_kernel=rbf"]),
            (["a.jsonl", "--caution=0.5"], ["a.jsonl", "--prior_strength=0.5"]),
            (["--caution+", "1"], ["--prior_strength+", "1"]),
        ],
    )
    def test_an_old_name_is_replaced_and_said_so(self, args, expected, capsys):
        assert renamed(args) == expected
        error = capsys.readouterr().err
        assert error.startswith("sgpu fit: --")
        assert "is deprecated, use --" in error
        assert error.count("\n") == 1

    @pytest.mark.parametrize(
        "args",
        [
            ["--model.gram_kernel", "rbf"],
            ["--model.grammar", "x"],
            ["--model.kernel", "caution"],
            ["--notes", "model.gram"],
            ["--notes=--caution"],
            ["--", "--caution"],
        ],
    )
    def test_everything_else_is_left_as_it_is(self, args, capsys):
        assert renamed(args) == args
        assert capsys.readouterr().err == ""

    @settings(deadline=None)
    @given(st.lists(st.text().filter(lambda text: text.partition("=")[0] not in ("--config", "--caution"))))
    def test_whatever_holds_no_old_name_is_left_as_it_is(self, args):
        assert renamed(args) == args


class TestConfigFiles:
    @pytest.fixture
    def config(self):
        content = {"model": {"gram": "rbf", "kernel": "rbf"}, "caution": 2.0, "data": {"gram": 1}}
        Path("old.yaml").write_text(yaml.safe_dump(content))
        return {"model": {"gram_kernel": "rbf", "kernel": "rbf"}, "prior_strength": 2.0, "data": {"gram": 1}}

    @pytest.mark.parametrize("args", [["--config", "old.yaml"], ["--config=old.yaml"], ["-c", "old.yaml"]])
    def test_an_old_key_is_replaced_and_said_so(self, args, config, capsys):
        text = renamed([*args, "--x", "1"])
        assert text[-2:] == ["--x", "1"]
        assert json.loads(text[-3].removeprefix("--config=")) == config
        assert capsys.readouterr().err.splitlines() == [
            "sgpu fit: old.yaml: 'model.gram' is deprecated, use 'model.gram_kernel'",
            "sgpu fit: old.yaml: 'caution' is deprecated, use 'prior_strength'",
        ]

    def test_so_is_one_in_a_configuration_given_as_text(self):
        assert renamed(["--config", '{"caution": 1}']) == ["--config", '{"prior_strength": 1}']

    @pytest.mark.parametrize("text", ["model:\n  gram_kernel: rbf\n", "- a\n", "a: [\n", "model: gram\n", ""])
    def test_a_file_without_an_old_key_is_left_to_the_parser(self, text, capsys):
        Path("new.yaml").write_text(text)
        assert renamed(["--config", "new.yaml"]) == ["--config", "new.yaml"]
        assert renamed(["--config", "none.yaml"]) == ["--config", "none.yaml"]
        assert capsys.readouterr().err == ""

    def test_both_names_in_one_file_are_refused(self):
        Path("both.yaml").write_text("caution: 1\nprior_strength: 2\n")
        with pytest.raises(
            SGPUError, match="'caution' is the old name of 'prior_strength': expected one of them, got b"
        ):
            renamed(["--config", "both.yaml"])

    def test_what_is_renamed_is_not_changed_in_place(self):
        content = {"model": {"gram": "rbf"}}
        assert rename_keys(content, NAMES) == {"model": {"gram_kernel": "rbf"}}
        assert content == {"model": {"gram": "rbf"}}


def test_both_names_of_an_option_stand_on_one_level():
    pairs = [pair for names in RENAMED.values() for pair in names.items()]
    assert all(old.rpartition(".")[0] == new.rpartition(".")[0] for old, new in pairs)


@pytest.mark.parametrize("args", [["--config", str(LEGACY / "fit_config.yaml")], ["--model.gram", "linear"]])
def test_a_fit_accepts_what_was_written_before(args, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["fit", *args, "--data.answers", "a.jsonl", "--print_config"])
    assert stop.value.code == 0
    shown = capsys.readouterr()
    assert yaml.safe_load(shown.out)["model"]["gram_kernel"] == "linear"
    assert "model.gram_kernel" in shown.err
    assert shown.err.count("deprecated") == 1


@pytest.mark.parametrize("option", ["--caution", "--prior_strength", "--prior-strength"])
def test_transfer_accepts_caution_for_the_prior_strength(option, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["transfer", "a.jsonl", "b.jsonl", "--leave_one_out", option, "0.5", "--print_config"])
    assert stop.value.code == 0
    shown = capsys.readouterr()
    assert yaml.safe_load(shown.out)["prior_strength"] == 0.5
    notice = "sgpu transfer: --caution is deprecated, use --prior_strength\n"
    assert shown.err == (notice if option == "--caution" else "")
