"""The hub: what a download leaves in the cache is loaded, and an upload takes the predictor's files alone."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import huggingface_hub
import pytest

from sgpu_lightning import SGPUPredictor
from sgpu_lightning.cli.main import main
from sgpu_lightning.predictor import PredictorError

COMMITS = {"main": "a" * 40, "v1": "b" * 40}


@pytest.fixture
def cache(white, tmp_path, monkeypatch):
    """The hub's cache after a download, the real code reads it offline."""
    repo = tmp_path / "hub" / "models--owner--name"
    for revision, commit in COMMITS.items():
        shutil.copytree(white.folder, repo / "snapshots" / commit)
        (repo / "refs").mkdir(exist_ok=True)
        (repo / "refs" / revision).write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return repo


def test_a_hub_id_is_loaded_at_its_revision(white, cache):
    assert SGPUPredictor.from_pretrained("owner/name").config == white.load().config
    (cache / "snapshots" / COMMITS["v1"] / "config.json").write_text("{}")
    with pytest.raises(PredictorError, match="expected key 'format_version'"):
        SGPUPredictor.from_pretrained("owner/name", revision="v1")


class FakeApi:
    """Notes what is uploaded."""

    def __init__(self, **_):
        self.calls = CALLS

    def create_repo(self, repo_id, *, private, exist_ok):
        self.calls.append(("create", repo_id, private, exist_ok))

    def upload_folder(self, *, repo_id, folder_path, allow_patterns, revision, commit_message):
        kept = huggingface_hub.utils.filter_repo_objects(
            (file.name for file in folder_path.iterdir()), allow_patterns=allow_patterns
        )
        self.calls.append(("upload", repo_id, sorted(kept), revision, commit_message))
        return SimpleNamespace(commit_url=f"https://hub.example/{repo_id}/commit/1")


CALLS: list[tuple] = []


@pytest.fixture
def hub(monkeypatch):
    CALLS.clear()
    monkeypatch.setattr(huggingface_hub, "HfApi", FakeApi)
    return CALLS


FILES = ["README.md", "calibration.svg", "config.json", "model.safetensors"]


def test_a_push_uploads_the_predictors_files_and_no_others(changed, hub, capsys):
    (changed / "secret.txt").write_text("token")
    assert main(["push", str(changed), "owner/name", "--private", "true"]) == 0
    assert hub == [
        ("create", "owner/name", True, True),
        ("upload", "owner/name", FILES, None, "Upload Toy"),
    ]
    assert "https://hub.example/owner/name/commit/1" in capsys.readouterr().out


def test_a_loaded_predictor_pushes_itself(white, hub):
    assert white.load().push_to_hub("owner/name", revision="v2") == "https://hub.example/owner/name/commit/1"
    assert hub[1] == ("upload", "owner/name", FILES, "v2", "Upload Toy")


def test_a_damaged_predictor_is_not_uploaded(changed, hub, capsys):
    (changed / "model.safetensors").write_bytes(b"nonsense")
    assert main(["push", str(changed), "owner/name"]) == 1
    assert "not a safetensors file" in capsys.readouterr().err
    assert hub == []


@pytest.mark.parametrize("repo_id", ["name", "a/b/c", "../x", ""])
def test_a_name_the_hub_cannot_have_is_refused(white, hub, repo_id):
    with pytest.raises(PredictorError, match="repo_id: expected 'owner/name', got"):
        white.load().push_to_hub(repo_id)
    assert hub == []


def test_a_hub_that_refuses_is_one_message(white, hub, monkeypatch):
    def refuse(self, **_):
        raise RuntimeError("401 Unauthorized")  # the kind depends on the client and on what went wrong

    monkeypatch.setattr(FakeApi, "upload_folder", refuse)
    with pytest.raises(
        PredictorError, match=r"owner/name: the hub refused the upload \(401 Unauthorized\); see 'hf auth"
    ):
        white.load().push_to_hub("owner/name")
