"""Uploading a predictor to the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from sgpu_lightning.predictor.config import PredictorConfig, PredictorError
from sgpu_lightning.predictor.files import CONFIG, FILES, WEIGHTS, hub_errors, is_hub_name, read_file
from sgpu_lightning.predictor.frozen_predictor import from_bytes


def push_folder(folder: Path, repo_id: str, *, private: bool = False, revision: str | None = None) -> str:
    """Upload a predictor's files, and nothing else that is in the folder, after checking them.

    Who uploads is known from ``hf auth login`` or ``$HF_TOKEN``.

    Args:
        folder: Written by ``sgpu export``.
        repo_id: ``owner/name``; made if it is not there.
        private: Whether a repository that is made is private.
        revision: Branch; None for the main one.

    Returns:
        Where it is.

    Raises:
        PredictorError: If the folder holds no sound predictor, or the hub refuses.
    """
    from huggingface_hub import HfApi

    if "/" not in repo_id or not is_hub_name(repo_id):
        raise PredictorError(f"repo_id: expected 'owner/name', got '{repo_id}'")
    config = PredictorConfig.from_bytes(read_file(folder, CONFIG), str(folder / CONFIG))
    from_bytes(read_file(folder, WEIGHTS), config, str(folder / WEIGHTS))
    api = HfApi(library_name="sgpu_lightning", library_version=config.sgpu_version)
    with hub_errors(f"{repo_id}: the hub did not take it"):
        api.create_repo(repo_id, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            allow_patterns=list(FILES),
            revision=revision,
            commit_message=f"Upload {config.title}",
        )
    return str(commit.commit_url)
