"""``sgpu push``."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import auto_cli


def push(predictor: Path, repo_id: str, *, private: bool = False, revision: str | None = None) -> None:
    """Upload a predictor made by ``sgpu export`` to the Hugging Face hub; nothing else in its folder goes along.

    Args:
        predictor: The predictor's folder.
        repo_id: ``owner/name``; made if it is not there. Who you are is known from ``hf auth login`` or ``$HF_TOKEN``.
        private: Whether a repository that is made is private.
        revision: Branch; null for the main one.
    """
    from sgpu_lightning.predictor.artefact.hub import push_folder

    print(f"the predictor is at {push_folder(predictor, repo_id, private=private, revision=revision)}")


def run(args: list[str]) -> None:
    """Parse and run."""
    auto_cli(push, args=args[1:], prog="sgpu push")
