"""Graders that installed packages offer through entry points."""

from __future__ import annotations

import re
import sys
from importlib import metadata

import pytest

from sgpu_lightning.answers.grading import Verdict, get_grader, grader_names, register_grader, registry
from sgpu_lightning.answers.grading.entry_points import GROUP
from sgpu_lightning.errors import SGPUError

MODULE = """
class Strict:
    def __init__(self, model, threshold=0.5):
        self.model = model

    def grade(self, records):
        return []

NOT_CALLABLE = 3
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package that offers graders, as pip would leave it on disk."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_MAKERS", {})
    already_imported = set(sys.modules)

    def install(package, **graders):
        folder = tmp_path / f"{package}-1.2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        lines = [f"[{GROUP}]", *(f"{name} = {value}" for name, value in graders.items())]
        (folder / "entry_points.txt").write_text("\n".join(lines) + "\n")
        (tmp_path / f"{package}_module.py").write_text(MODULE)

    yield install
    for module in set(sys.modules) - already_imported:
        if module.endswith("_module"):
            del sys.modules[module]


def test_a_grader_of_an_installed_package_is_made_with_its_options(install):
    install("strictly", strict="strictly_module:Strict")
    assert get_grader("strict", {"model": "big"}).model == "big"
    with pytest.raises(SGPUError, match=r"grader 'strict' takes \(model, threshold=0.5\), got .*'mdel'"):
        get_grader("strict", {"mdel": "big"})


def test_names_are_listed_without_importing_the_package_and_its_names_are_taken(install):
    install("strictly", strict="strictly_module:Strict", broken="no_such_module:Grader")
    register_grader("own")(lambda: None)
    names = grader_names()
    assert names[0] == "exact"
    assert {"strict", "broken"} < set(names)
    assert names.index("class_name") < names.index("strict") < names.index("own")
    assert "strictly_module" not in sys.modules
    with pytest.raises(ValueError, match="grader name 'strict' is taken"):
        register_grader("strict")
    with pytest.raises(SGPUError, match=r"unknown grader 'stricter', expected one of exact, alias, .*strict"):
        get_grader("stricter")


def test_entry_points_are_not_looked_up_for_known_names(monkeypatch):
    register_own = register_grader("own_grader_without_lookup")
    monkeypatch.setattr(registry, "_MAKERS", {})
    register_own(lambda: Verdict)

    def fail(**_):
        raise AssertionError

    monkeypatch.setattr(metadata, "entry_points", fail)
    assert get_grader("alias")("Paris", ["Paris"])
    assert get_grader("own_grader_without_lookup") is Verdict


def test_a_built_in_grader_is_not_replaced_by_an_installed_one(install):
    install("strictly", alias="strictly_module:Strict")
    assert get_grader("alias")("It was Paris.", ["Paris"]) is True
    assert grader_names().count("alias") == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "no_such_module:Grader",
            "the entry point 'no_such_module:Grader' of package strictly 1.2 cannot be loaded "
            "(ModuleNotFoundError: No module named 'no_such_module'); update, reinstall or uninstall the package",
        ),
        ("strictly_module:Missing", "of package strictly 1.2 cannot be loaded (AttributeError: "),
        (
            "strictly_module:NOT_CALLABLE",
            "of package strictly 1.2: expected a function or class that returns a grader, got int",
        ),
    ],
)
def test_a_broken_entry_point_is_an_error_that_names_the_package(install, value, message):
    install("strictly", strict=value)
    with pytest.raises(SGPUError, match=rf"^grader 'strict': .*{re.escape(message)}"):
        get_grader("strict")


def test_one_name_from_two_packages_is_an_error_that_names_both(install):
    install("strictly", strict="strictly_module:Strict")
    install("strongly", strict="strongly_module:Strict")
    message = (
        "grader 'strict': expected one package that offers it, got strictly 1.2 (strictly_module:Strict) and "
        "strongly 1.2 (strongly_module:Strict): uninstall all but one"
    )
    with pytest.raises(SGPUError, match=re.escape(message)):
        get_grader("strict", {"model": "big"})


def test_the_installed_package_offers_the_judge():
    """Fails if the package was installed before the entry point was added: run ``pip install -e .`` again."""
    (entry,) = metadata.entry_points(group=GROUP, name="judge")
    assert entry.value == "sgpu_lightning.sampling.judge:make_judge"
    assert "judge" in grader_names()
    judge = get_grader("judge", {"api": "http://127.0.0.1:1/v1", "model": "m"})
    assert (judge.client.model, judge.max_tokens) == ("m", 200)
    with pytest.raises(SGPUError, match=r"grader 'judge' takes .*, got .*: missing a required argument: 'api'"):
        get_grader("judge", {"model": "m"})
