"""Embedding answers with an initially empty cache, against encoding every answer in order."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from sentence_transformers import SentenceTransformer

from benchmarks.data import triviaqa_answers
from benchmarks.rows import Row
from benchmarks.timing import interleaved, summary
from sgpu_lightning.embedding.embedding_cache import CachedEncoder
from sgpu_lightning.embedding.encoder import SentenceTransformerEncoder

ROUNDS = 1  # a round takes more than a minute
BATCH = 64
TIMES_FASTER = 2.0
DIFFERENCE = 1e-5


def run() -> list[Row]:
    """Measure the speed against two alternatives, and the largest difference between their vectors."""
    answers = triviaqa_answers()
    texts = [text for row in answers.rows for text in (*row["answers"], row["greedy"])]
    encoder = SentenceTransformerEncoder("minilm", batch_size=BATCH)
    model: SentenceTransformer = encoder._model
    found: dict[str, np.ndarray] = {}

    def in_order() -> None:
        parts = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
        found["in order"] = np.concatenate([model.encode(part, show_progress_bar=False) for part in parts])

    def one_call() -> None:
        # Given all texts in one call, sentence-transformers sorts them by length, which saves padding.
        found["one call"] = model.encode(texts, batch_size=BATCH, show_progress_bar=False)

    def cached() -> None:
        with tempfile.TemporaryDirectory() as folder:
            found["cached"] = CachedEncoder(encoder, Path(folder)).encode(texts)

    encoder.encode(texts[:BATCH])
    seconds = interleaved({"in order": in_order, "cached": cached, "one call": one_call}, ROUNDS)
    difference = max(float(np.abs(found[name] - found["cached"]).max()) for name in ("in order", "one call"))
    typical = {name: median(values) for name, values in seconds.items()}
    distinct = len(set(texts))
    note = f"{answers.name}: {len(texts)} texts, {distinct} of them distinct, a factor of {len(texts) / distinct:.2f}"
    return [
        Row(
            what="embed answers against encoding each in order",
            value=typical["in order"] / typical["cached"],
            unit="x",
            at_least=TIMES_FASTER,
            note=f"{note}; sentence-transformers, batches of {BATCH} texts in their order; "
            f"{typical['cached']:.1f} s against {typical['in order']:.1f} s",
            details=summary(seconds) | {"texts": len(texts), "distinct": distinct},
        ),
        Row(
            what="the same against one call with all texts, which sorts them by length",
            value=typical["one call"] / typical["cached"],
            unit="x",
            note=f"{typical['one call']:.1f} s; repeated texts are shorter than unique ones",
        ),
        Row(
            what="same vectors: largest difference",
            value=difference,
            at_most=DIFFERENCE,
            note="over all coordinates of all texts",
        ),
    ]
