"""Heat maps: files with the numbers in them, and what is said where matplotlib is absent."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from sgpu_lightning.errors import EvaluationError
from sgpu_lightning.evaluation.transfer.heatmap import draw_heat_map

VALUES = np.array([[0.5, 0.625], [0.75, np.nan]])


def test_a_map_is_drawn_as_svg_and_png(tmp_path):
    files = draw_heat_map(VALUES, ["a", "b"], ["c", "d"], title="AUROC", path=tmp_path / "maps" / "x.y")
    assert [file.name for file in files] == ["x.y.svg", "x.y.png"]
    assert "<svg" in files[0].read_text()
    with Image.open(files[1]) as image:
        assert min(image.size) > 200
        assert len(image.convert("RGB").getcolors(1 << 20)) > 10


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EvaluationError, match=r"heat maps need matplotlib.*sgpu-lightning\[report\]"):
        draw_heat_map(VALUES, ["a", "b"], ["c", "d"], title="t", path=tmp_path / "x")
