from __future__ import annotations

import sys

import pytest
import torch

from sgpu_lightning.answers.discovery import import_submodules
from sgpu_lightning.baselines import SCORES, SUPERVISED, ScoreError
from sgpu_lightning.baselines.registry import register, sort_scores


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules: two with an order, one without."""
    folder = tmp_path / "plugged_in"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "late.py").write_text("ORDER = 2\n", encoding="utf-8")
    (folder / "early.py").write_text("ORDER = 1\n", encoding="utf-8")
    (folder / "another.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "plugged_in"]:
        del sys.modules[name]


def test_every_module_of_a_folder_is_imported_in_the_order_that_it_declares(package):
    modules = import_submodules("plugged_in")
    assert [module.__name__ for module in modules] == ["plugged_in.early", "plugged_in.late", "plugged_in.another"]


def test_scores_come_in_the_order_of_their_families():
    families = list(dict.fromkeys(score.family for score in SCORES.values()))
    assert families == ["lexical", "cosine", "spectral", "graph", "token_likelihood", "semantic"]


def test_supervised_baselines_come_in_their_order():
    assert list(SUPERVISED) == ["logistic_spectrum", "boosted_spectrum", "linear_probe", "saplma"]


def test_sorting_keeps_the_order_within_a_module(monkeypatch):
    before = dict(SCORES)
    names = list(dict.fromkeys(score.function.__module__ for score in SCORES.values()))
    sort_scores(names[::-1])
    try:
        assert before == SCORES
        assert list(SCORES) != list(before)
        lexical = [name for name, score in SCORES.items() if score.family == "lexical"]
        assert lexical[:2] == ["match_fraction", "exact_match"]
    finally:
        sort_scores(names)
    assert list(SCORES) == list(before)


def test_a_name_is_registered_once():
    with pytest.raises(ScoreError, match="score 'match_fraction' is registered twice"):
        register("match_fraction", sign=1, low="0", high="1", source="")(lambda group: torch.zeros(len(group)))
