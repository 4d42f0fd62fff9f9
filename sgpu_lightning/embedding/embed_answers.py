"""Black-box vectors of answer sets: embed the answers and the scored answer."""

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
    """A sentence encoder by name, with its cache.

    Args:
        name: ``minilm``, a folder, or a hub id.
        revision: For a hub id.
        cache_dir: None for the user's cache folder.
    """
    return CachedEncoder(SentenceTransformerEncoder(name, revision=revision), cache_dir)


def encoder_spec(encoder: Encoder) -> VectorSpec:
    """How a store and a predictor name this encoder's vectors."""
    return VectorSpec(kind="encoder", source=encoder.name, revision=encoder.revision, dim=encoder.dim)


def embed_records(records: Sequence[AnswerSet], encoder: Encoder, *, questions: bool = True) -> VectorShard:
    """Vectors of the records' answers and scored answers, and how near these are to their questions.

    Args:
        records: The answer sets.
        encoder: Gives the vectors.
        questions: Whether questions are embedded as well; if not, the shard has no ``question``.
    """
    texts = [text for record in records for text in (*record.answers, scored_answer(record))]
    # Encoded together: a question that many models were asked is encoded once, and so is an answer.
    asked = [i for i, record in enumerate(records) if questions and record.question.strip()]
    vectors = encoder.encode([*texts, *(records[i].question for i in asked)])
    vectors, asked_vectors = vectors[: len(texts)], vectors[len(texts) :]
    counts = np.array([len(record.answers) for record in records], dtype=np.int64)
    is_scored = np.zeros(len(texts), dtype=bool)
    is_scored[np.cumsum(counts + 1) - 1] = True
    scored = vectors[is_scored]
    similarity = np.zeros(len(records))
    similarity[asked] = _cosine(scored[asked], asked_vectors)
    return VectorShard(vectors[~is_scored], counts, scored, similarity if questions else None)


def _cosine(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Cosine of the rows, [n]; bad rows are for `VectorShard.check` to refuse."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return np.nan_to_num((a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)))


def embed_store(store: AnswerStore, encoder: Encoder, *, dtype: VectorDtype = "float32", progress: bool = True) -> str:
    """Write the encoder's vectors beside the store's text; shards that have them are left as they are.

    Returns:
        The vector set's name.
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
