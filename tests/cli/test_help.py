"""`--help` of every verb: at once, and what the verb's own parser says."""

from __future__ import annotations

import json
import platform

import pytest

from sgpu_lightning.cli import stored_help
from sgpu_lightning.cli.main import main
from sgpu_lightning.cli.render_help import COMMAND, differences, help_calls, render
from tests.cli.calls import python

CALLS = [call for group in help_calls() for call in group]


@pytest.mark.slow
def test_the_stored_texts_are_what_the_parsers_print():
    versions = json.loads(stored_help.VERSIONS.read_text())
    if versions["python"] != ".".join(platform.python_version_tuple()[:2]):
        pytest.skip("argparse wraps lines differently in other versions of Python")
    if versions["libraries"] != stored_help.installed_versions():
        pytest.skip("the texts were rendered with other versions of jsonargparse or Lightning")
    found = differences(render())
    assert not found, f"run: {COMMAND}\n" + "\n".join(found)


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_every_verb_has_help(call, capsys):
    assert main([*call, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: sgpu {' '.join(call)} ")


@pytest.mark.parametrize("call", ["fit", "compare", "curve labels"])
def test_help_needs_neither_torch_nor_lightning(call):
    code = (
        "import sys; from sgpu_lightning.cli.main import main; main(sys.argv[1:]); "
        "print([name for name in ('torch', 'lightning', 'jsonargparse') if name in sys.modules])"
    )
    result = python("-c", code, *call.split(), "--help")
    assert result.stdout.startswith(f"usage: sgpu {call} ")
    assert result.stdout.endswith("[]\n")


class TestStoredHelp:
    @pytest.mark.parametrize("args", [["compare", "--help"], ["compare", "-h"], ["curve", "labels", "--help"]])
    def test_is_found(self, args):
        assert stored_help.stored_help(args).startswith(f"usage: sgpu {' '.join(args[:-1])} ")

    @pytest.mark.parametrize(
        "args",
        [
            ["compare"],
            ["--help"],
            ["nothing", "--help"],
            ["curve", "../curve", "--help"],
            ["compare", "a.jsonl", "--help"],
            ["fit", "--data.answers", "a.jsonl", "--help"],
            ["fit", "--trainer.callbacks.help"],
        ],
        ids=" ".join,
    )
    def test_is_none_for_other_calls(self, args):
        assert stored_help.stored_help(args) is None

    def test_is_none_for_other_versions_and_the_parser_answers(self, monkeypatch, capsys):
        monkeypatch.setattr(stored_help, "version", lambda name: "0.1")
        assert stored_help.stored_help(["push", "--help"]) is None
        with pytest.raises(SystemExit) as stop:
            main(["push", "--help"])
        assert stop.value.code == 0
        assert capsys.readouterr().out.startswith("usage: sgpu push ")

    def test_is_none_where_the_texts_are_missing(self, monkeypatch, tmp_path):
        monkeypatch.setattr(stored_help, "VERSIONS", tmp_path / "versions.json")
        assert stored_help.stored_help(["push", "--help"]) is None


def test_a_text_that_is_stale_missing_or_of_no_verb_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("sgpu_lightning.cli.render_help.FOLDER", tmp_path)
    (tmp_path / "stale.txt").write_text("old")
    (tmp_path / "gone.txt").write_text("old")
    rendered = {tmp_path / "stale.txt": "new", tmp_path / "missing.txt": "new"}
    assert differences(rendered) == ["missing.txt: missing", "stale.txt: differs", "gone.txt: belongs to no verb"]
