"""Upload a portable predictor to the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from sgpu_lightning.cli.parser import run_function


def push(predictor: Path, repo_id: str, *, private: bool = False, revision: str | None = None) -> None:
    """Upload a predictor made by ``sgpu export`` to the Hugging Face hub; other files in its folder are not uploaded.

    Args:
        predictor: The predictor's folder.
        repo_id: Repository as ``owner/name``; it is created if it does not exist. Log in with ``hf auth login`` or set
            ``$HF_TOKEN``.
        private: Whether a newly created repository is private.
        revision: Branch to upload to; null for the main branch.
    """
    from sgpu_lightning.predictor.artefact.hub import push_folder

    print(f"the predictor is at {push_folder(predictor, repo_id, private=private, revision=revision)}")


def run(args: list[str]) -> None:
    """Parse and run."""
    run_function(push, "push", args)
