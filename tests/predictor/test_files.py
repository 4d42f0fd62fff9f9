"""Writing a predictor's folder: whole or not at all, and never over anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgpu_lightning.predictor import PredictorError
from sgpu_lightning.predictor.artefact.safe_files import CARD, CONFIG, PICTURE, WEIGHTS, write_folder

CONTENT = {CONFIG: b"{}", WEIGHTS: b"tensors", CARD: b"# card"}


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_new_folder_and_its_parents_are_made(tmp_path):
    write_folder(tmp_path / "a" / "b", CONTENT)
    assert listing(tmp_path) == ["a", "a/b", *(f"a/b/{name}" for name in sorted(CONTENT))]


def test_an_existing_predictor_is_refused_without_overwrite(tmp_path):
    write_folder(tmp_path / "out", CONTENT)
    with pytest.raises(PredictorError, match="already holds a predictor: choose a new folder, or give --overwrite"):
        write_folder(tmp_path / "out", CONTENT | {CARD: b"new"})
    assert (tmp_path / "out" / CARD).read_bytes() == b"# card"


def test_overwriting_replaces_all_of_it(tmp_path):
    write_folder(tmp_path / "out", CONTENT | {PICTURE: b"<svg/>"})
    write_folder(tmp_path / "out", CONTENT | {CARD: b"new"}, overwrite=True)
    assert listing(tmp_path) == ["out", *(f"out/{name}" for name in sorted(CONTENT))]
    assert (tmp_path / "out" / CARD).read_bytes() == b"new"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_with_other_files_is_never_touched(tmp_path, overwrite):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(
        PredictorError,
        match=r"expected a predictor's files only, got other files as well \(thesis\.tex\): choose a new",
    ):
        write_folder(tmp_path / "home", CONTENT, overwrite=overwrite)
    assert listing(tmp_path) == ["home", "home/thesis.tex"]


def test_a_file_of_that_name_is_refused(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(PredictorError, match="expected a folder to export to, got a file"):
        write_folder(tmp_path / "out", CONTENT, overwrite=True)


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "out").mkdir()
    write_folder(tmp_path / "out", CONTENT)
    assert (tmp_path / "out" / CONFIG).exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_breaks_on_the_way_leaves_everything_as_it_was(tmp_path, monkeypatch, overwrite):
    if overwrite:
        write_folder(tmp_path / "out", CONTENT)
    before = listing(tmp_path)
    write = Path.write_bytes

    def full(self, data):
        if self.name == WEIGHTS:
            raise OSError(28, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        write_folder(tmp_path / "out", CONTENT | {CARD: b"new"}, overwrite=overwrite)
    assert listing(tmp_path) == before


def test_a_rename_that_fails_brings_the_old_predictor_back(tmp_path, monkeypatch):
    write_folder(tmp_path / "out", CONTENT)
    rename = Path.rename

    def refuse(self, target):
        if self.suffix == ".partial":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        write_folder(tmp_path / "out", CONTENT | {CARD: b"new"}, overwrite=True)
    assert (tmp_path / "out" / CARD).read_bytes() == b"# card"
    assert listing(tmp_path) == ["out", *(f"out/{name}" for name in sorted(CONTENT))]
