"""Embeddings of answer sets (black-box): vectors of the answers and of the scored answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.scored_answer import scored_answer
from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.answers.storage.vectors import VectorDtype, VectorShard, VectorSpec
from sgpu_lightning.embedding.embedding_cache import CachedEncoder
from sgpu_lightning.embedding.encoder import Encoder, SentenceTransformerEncoder

if TYPE_CHECKING:
    import numpy.typing as npt


def load_encoder(name: str, *, revision: str | None = None, cache_dir: Path | None = None) -> CachedEncoder:
    """Load a sentence encoder by name, with a cache of its embeddings on disk.

    Args:
        name: ``minilm`` for the offline encoder, a folder, or a hub id.
        revision: Branch, tag or commit of a hub id; None for the default branch.
        cache_dir: Folder of the cache; None for ``embeddings`` in the user's cache folder.

    Raises:
        EncoderError: If the folder or package does not exist, or the hub does not provide the encoder.
    """
    return CachedEncoder(SentenceTransformerEncoder(name, revision=revision), cache_dir)


def encoder_spec(encoder: Encoder) -> VectorSpec:
    """Specification of the encoder's vectors, as stores and predictors keep it."""
    return VectorSpec(kind="encoder", source=encoder.name, revision=encoder.revision, dim=encoder.dim)


def embed_records(records: Sequence[AnswerSet], encoder: Encoder, *, questions: bool = True) -> VectorShard:
    """Embed the answers and scored answers of records, and compare the scored answers with their questions.

    Args:
        records: The answer sets.
        encoder: The encoder.
        questions: Whether questions are embedded as well; if not, the shard's ``question`` is None.
    """
    texts = [text for record in records for text in (*record.answers, scored_answer(record))]
    # Encoded in one call, so that a question or answer that occurs several times is encoded once.
    with_question = [i for i, record in enumerate(records) if questions and record.question.strip()]
    vectors = encoder.encode([*texts, *(records[i].question for i in with_question)])
    vectors, question_vectors = vectors[: len(texts)], vectors[len(texts) :]
    counts = np.array([len(record.answers) for record in records], dtype=np.int64)
    is_scored = np.zeros(len(texts), dtype=bool)
    is_scored[np.cumsum(counts + 1) - 1] = True
    scored = vectors[is_scored]
    similarity = np.zeros(len(records))
    similarity[with_question] = _cosine(scored[with_question], question_vectors)
    return VectorShard(vectors[~is_scored], counts, scored, similarity if questions else None)


def _cosine(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Cosine similarity of corresponding rows, [n]; 0 for bad rows, which `VectorShard.check` refuses."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return np.nan_to_num((a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)))


def embed_store(store: AnswerStore, encoder: Encoder, *, dtype: VectorDtype = "float32", progress: bool = True) -> str:
    """Add the encoder's vectors to a store; shards that already have them are not changed.

    Args:
        store: The store.
        encoder: The encoder.
        dtype: Number format of the stored vectors.
        progress: Whether to show a progress bar.

    Returns:
        Name of the vector set.

    Raises:
        StoreError: If the store has a vector set of that name from another encoder, or cannot be written.
        VectorError: If a vector is zero or not finite.
    """
    from rich.progress import track

    spec = encoder_spec(encoder)
    store.add_vector_set(spec)
    todo = [shard for shard in store.shards if not store.has_vectors(spec.name, shard)]
    for shard in track(todo, description=f"embed with {encoder.name}", disable=not progress):
        records = store.read(shard)
        ids = [record.id for record in records]
        store.write_vectors(spec.name, shard, ids, embed_records(records, encoder), dtype)
    return spec.name
