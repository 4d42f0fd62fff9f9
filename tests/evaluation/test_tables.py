"""Tables of evaluations as files, and the settings that all evaluation commands share."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from sgpu_lightning.evaluation.common.evaluation_settings import (
    AnswerSettings,
    CompareSettings,
    LabelSettings,
    ReadingSettings,
    TransferSettings,
)
from sgpu_lightning.evaluation.common.tables import TitledTable, save_tables

ROWS = [{"set": "a", "auroc": 0.75}, {"set": "b", "auroc": 0.5}]


def test_tables_are_saved_as_csv_markdown_and_json(tmp_path):
    page = [TitledTable("First", ("set", "auroc"), ROWS), TitledTable("", ("set",), ROWS)]
    save_tables(tmp_path / "out", rows={"sets": ROWS}, pages={"tables": page}, content={"all": {"sets": ROWS}})
    assert (tmp_path / "out" / "sets.csv").read_text() == "set,auroc\na,0.75\nb,0.5\n"
    text = (tmp_path / "out" / "tables.md").read_text()
    assert text.startswith("## First\n\n| set | auroc |\n|---|---|\n| a | 0.7500 |\n")
    assert text.endswith("\n\n| set |\n|---|\n| a |\n| b |\n")
    assert json.loads((tmp_path / "out" / "all.json").read_text()) == {"sets": ROWS}


def test_a_table_without_rows_is_saved_empty(tmp_path):
    save_tables(tmp_path, rows={"against": []}, pages={}, content={})
    assert (tmp_path / "against.csv").read_text().strip() == ""


@pytest.mark.parametrize("settings", [CompareSettings, LabelSettings, AnswerSettings, TransferSettings])
def test_all_commands_share_the_reading_settings(settings):
    shared = [one.name for one in fields(ReadingSettings)]
    assert issubclass(settings, ReadingSettings)
    assert [one.name for one in fields(settings)][: len(shared)] == shared
    assert not {one for one in settings.__annotations__ if one in shared}
