"""Embed a store's answers with a sentence encoder: black-box vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sgpu_lightning.cli.parser import run_function


def embed(
    store: Path,
    *,
    encoder: str = "minilm",
    revision: str | None = None,
    dtype: Literal["float16", "float32"] = "float32",
    cache_dir: Path | None = None,
) -> None:
    """Add a sentence encoder's vectors to a store.

    Shards that already have these vectors are not changed, so an interrupted run resumes where it stopped.

    Args:
        store: The store's folder.
        encoder: ``minilm`` (the offline encoder), a sentence-transformers folder, or a hub id.
        revision: Branch, tag or commit of a hub id; null for its main branch.
        dtype: Number format in which the vectors are stored.
        cache_dir: Folder where the vectors of texts are cached; null for the user's cache folder.
    """
    from sgpu_lightning.answers.storage.store import AnswerStore
    from sgpu_lightning.console import say
    from sgpu_lightning.embedding.embed_answers import embed_store, load_encoder

    opened = AnswerStore.open(store)
    name = embed_store(opened, load_encoder(encoder, revision=revision, cache_dir=cache_dir), dtype=dtype)
    say(f"vectors '{name}' are in {store}")


def run(args: list[str]) -> None:
    """Parse and run."""
    run_function(embed, "embed", args)
