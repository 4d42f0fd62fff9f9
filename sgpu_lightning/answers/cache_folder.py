"""The user's cache folder: holds images of questions, embeddings and out-of-fold predictions."""

from __future__ import annotations

import os
from pathlib import Path


def default_cache_dir() -> Path:
    """``$SGPU_CACHE``, else ``sgpu_lightning`` in the user's cache folder (``$XDG_CACHE_HOME``, else ``~/.cache``)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("SGPU_CACHE") or Path(base) / "sgpu_lightning")
