"""``sgpu embed``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from jsonargparse import auto_cli


def embed(
    store: Path,
    *,
    encoder: str = "minilm",
    revision: str | None = None,
    dtype: Literal["float16", "float32"] = "float32",
    cache_dir: Path | None = None,
) -> None:
    """Write an external encoder's vectors beside the answers of a store.

    Shards that have them are left as they are, so an interrupted run goes on where it was.

    Args:
        store: The store's folder.
        encoder: ``minilm`` (the offline encoder), a sentence-transformers folder, or a hub id.
        revision: Revision of a hub id.
        dtype: How vectors are stored.
        cache_dir: Where vectors of texts are remembered; null for the user's cache folder.
    """
    from sgpu_lightning.answers.storage.store import AnswerStore
    from sgpu_lightning.console import say
    from sgpu_lightning.embedding.embed_answers import embed_store, load_encoder

    opened = AnswerStore.open(store)
    name = embed_store(opened, load_encoder(encoder, revision=revision, cache_dir=cache_dir), dtype=dtype)
    say(f"vectors '{name}' are in {store}")


def run(args: list[str]) -> None:
    """Parse and run."""
    auto_cli(embed, args=args[1:], prog="sgpu embed")
