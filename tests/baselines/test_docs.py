from __future__ import annotations

from pathlib import Path

import pytest

from sgpu_lightning.baselines import SCORES, SUPERVISED
from sgpu_lightning.baselines.registry import Score

PAGE = (Path(__file__).parents[2] / "docs" / "baselines.md").read_text(encoding="utf-8")


def row(score: Score) -> str:
    """The score's line in the page's table."""
    needs = ", ".join(f"`{need}`" for need in score.needs) or "texts"
    sign = "+" if score.sign == 1 else "-"
    return f"| `{score.name}` | {score.definition} | {sign} | {score.low} to {score.high} | {needs} | {score.source} |"


@pytest.mark.parametrize("name", SCORES)
def test_every_score_has_its_line(name):
    assert row(SCORES[name]) in PAGE


def test_every_supervised_baseline_is_named():
    assert [name for name in SUPERVISED if f"`{name}`" not in PAGE] == []
