"""Predictors on the Hugging Face hub: finding and downloading a folder, and uploading one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sgpu_lightning.predictor.artefact.frozen_predictor import read_predictor
from sgpu_lightning.predictor.artefact.safe_files import CONFIG, FILES, WEIGHTS
from sgpu_lightning.predictor.predictor_errors import PredictorError

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def is_hub_name(name: str) -> bool:
    """Whether a name has the form of a hub id. Such a name cannot lead to a folder outside the current one."""
    return _HUB_NAME.fullmatch(name) is not None


def find_folder(name: str | Path, revision: str | None = None) -> Path:
    """Find a predictor's folder, downloading it from the hub if necessary.

    Args:
        name: A folder, or a hub id such as ``owner/name``.
        revision: Branch, tag or commit of a hub id; None for the default branch.

    Returns:
        The local folder.

    Raises:
        PredictorError: If the name is neither a folder nor a hub id that can be downloaded.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists() or isinstance(name, Path) or "/" not in name or not is_hub_name(name):
        raise PredictorError(f"{name}: no such folder; expected one written by 'sgpu export', or a hub id 'owner/name'")
    from huggingface_hub import snapshot_download

    with _hub_errors(f"{name}: neither a local folder nor loadable from the hub"):
        return Path(snapshot_download(name, revision=revision, allow_patterns=[CONFIG, WEIGHTS]))


def push_folder(folder: Path, repo_id: str, *, private: bool = False, revision: str | None = None) -> str:
    """Check a predictor's files and upload them. Other files in the folder are not uploaded.

    The uploading account is taken from ``hf auth login`` or ``$HF_TOKEN``.

    Args:
        folder: A folder written by ``sgpu export``.
        repo_id: Hub id ``owner/name``; the repository is created if it does not exist.
        private: Whether a newly created repository is private.
        revision: Branch; None for the main branch.

    Returns:
        URL of the uploaded commit.

    Raises:
        PredictorError: If the folder does not hold a valid predictor, or the hub refuses the upload.
    """
    from huggingface_hub import HfApi

    if "/" not in repo_id or not is_hub_name(repo_id):
        raise PredictorError(f"repo_id: expected 'owner/name', got '{repo_id}'")
    config, _ = read_predictor(folder)
    api = HfApi(library_name="sgpu_lightning", library_version=config.sgpu_version)
    with _hub_errors(f"{repo_id}: the hub refused the upload"):
        api.create_repo(repo_id, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            allow_patterns=list(FILES),
            revision=revision,
            commit_message=f"Upload {config.title}",
        )
    return str(commit.commit_url)


@contextmanager
def _hub_errors(problem: str) -> Iterator[None]:
    """Turn any exception of the hub's client into a `PredictorError` whose message begins with ``problem``."""
    try:
        yield
    except Exception as error:  # connection, repository and permission errors share no base class
        raise PredictorError(f"{problem} ({error}); see 'hf auth login' and $HF_HUB_OFFLINE") from error
