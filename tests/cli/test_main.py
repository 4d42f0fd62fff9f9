"""The `sgpu` command: its verbs, its help and its exit status."""

from __future__ import annotations

import pytest

from sgpu_lightning import __version__
from sgpu_lightning.cli.main import main
from sgpu_lightning.cli.verbs import find_verb, find_verbs
from tests.cli.calls import python

VERBS = [verb.name for verbs in find_verbs().values() for verb in verbs]


class TestVerbs:
    def test_each_is_a_file_in_a_group(self):
        found = {heading: [verb.name for verb in verbs] for heading, verbs in find_verbs().items()}
        assert found == {
            "Collect answers, labels and vectors": ["embed", "import", "label", "merge", "sample"],
            "Learn P(correct)": ["fit", "predict", "test", "validate"],
            "Evaluate methods on many answer sets": ["compare", "curve", "select", "transfer"],
            "Try the package, and use a portable predictor": ["demo", "export", "push", "score"],
        }

    def test_a_new_file_is_a_new_verb(self, tmp_path, monkeypatch, capsys):
        (tmp_path / "use").mkdir()
        (tmp_path / "use" / "__init__.py").write_text('"""Use it."""')
        (tmp_path / "use" / "lambda_.py").write_text('"""Do one thing.\n\nAnd say more."""')
        (tmp_path / "use" / "_shared.py").write_text('"""No verb."""')
        monkeypatch.setattr("sgpu_lightning.cli.verbs._HERE", tmp_path)
        assert main(["--help"]) == 0
        assert "\n\nUse it:\n  lambda    Do one thing\n\noptions:" in capsys.readouterr().out
        assert find_verb("lambda").module == "sgpu_lightning.cli.use.lambda_"
        assert find_verb("_shared") is None

    @pytest.mark.parametrize("verb", VERBS)
    def test_has_a_line_of_help_that_fits(self, verb):
        assert 10 < len(find_verb(verb).summary) <= 100


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
        assert "unknown verb 'fti', expected one of embed, import, label, merge, sample, fit" in capsys.readouterr().err

    def test_no_verb_prints_the_help(self, capsys):
        assert main([]) == 2
        assert "usage: sgpu VERB" in capsys.readouterr().out

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


def test_every_module_imports():
    code = (
        "import importlib, pkgutil, sgpu_lightning as s\n"
        "for m in pkgutil.walk_packages(s.__path__, 'sgpu_lightning.'):\n"
        "    if not m.name.endswith('__main__'): importlib.import_module(m.name)\n"
        "print([n for n in s.__all__ if getattr(s, n, None) is None])"
    )
    result = python("-c", code)
    assert result.stdout.strip() == "[]", result.stderr
