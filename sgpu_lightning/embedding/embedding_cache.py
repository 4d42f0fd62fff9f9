"""A cache of embeddings on disk, keyed by text and encoder revision."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sgpu_lightning.answers.cache_folder import default_cache_dir
from sgpu_lightning.embedding.encoder import Encoder

if TYPE_CHECKING:
    import numpy.typing as npt

_LOOKUP = 500  # keys per query; SQLite limits the number of parameters
_ENCODE = 4096  # texts between two commits, which an interrupted run loses at most


class CachedEncoder:
    """An encoder that encodes each distinct text once and caches its embedding on disk.

    There is one SQLite file per encoder revision; several processes may use it at the same time.

    Args:
        encoder: The encoder that is called for texts that are not cached.
        folder: Folder of the cache files; None for ``embeddings`` in `default_cache_dir`.
    """

    def __init__(self, encoder: Encoder, folder: Path | None = None) -> None:
        self._encoder = encoder
        self.name, self.revision, self.dim = encoder.name, encoder.revision, encoder.dim
        folder = folder or default_cache_dir() / "embeddings"
        folder.mkdir(parents=True, exist_ok=True)
        key = hashlib.sha256(f"{encoder.name}\n{encoder.revision}".encode()).hexdigest()[:32]
        self.path = folder / f"{key}.sqlite"
        with closing(self._connect()) as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embeddings of the texts in order, float32 [n, d]; equal texts get identical vectors."""
        distinct = list(dict.fromkeys(texts))
        keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in distinct]
        with closing(self._connect()) as database:
            found = self._look_up(database, keys)
            missing = [i for i, key in enumerate(keys) if key not in found]
            for start in range(0, len(missing), _ENCODE):
                part = missing[start : start + _ENCODE]
                vectors = np.asarray(self._encoder.encode([distinct[i] for i in part]), dtype=np.float32)
                fresh = {keys[i]: vector for i, vector in zip(part, vectors, strict=True)}
                with database:
                    database.executemany(
                        "INSERT OR IGNORE INTO vectors VALUES (?, ?)",
                        # Vectors that are not finite (half precision overflows) are not cached, to be tried again.
                        ((key, vector.tobytes()) for key, vector in fresh.items() if np.isfinite(vector).all()),
                    )
                found |= fresh
        row = {text: found[key] for text, key in zip(distinct, keys, strict=True)}
        return np.stack([row[text] for text in texts]) if texts else np.empty((0, self.dim), np.float32)

    def _connect(self) -> sqlite3.Connection:
        # The default journal, not WAL: switching to WAL fails immediately while another process uses the file.
        return sqlite3.connect(self.path, timeout=60)

    def _look_up(self, database: sqlite3.Connection, keys: list[bytes]) -> dict[bytes, npt.NDArray[np.float32]]:
        found: dict[bytes, npt.NDArray[np.float32]] = {}
        for start in range(0, len(keys), _LOOKUP):
            part = keys[start : start + _LOOKUP]
            marks = ",".join("?" * len(part))
            rows = database.execute(f"SELECT key, vector FROM vectors WHERE key IN ({marks})", part)
            found |= {key: np.frombuffer(blob, np.float32) for key, blob in rows}
        return found
