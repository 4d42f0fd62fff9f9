"""Toy answer sets: files, stores with vectors, and batches; agreement goes with being right."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import torch

from sgpu_lightning.answers.record import AnswerSet, parse_record
from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.answers.storage.vectors import VectorShard, VectorSpec
from sgpu_lightning.answers.texts import AnswerTexts
from sgpu_lightning.features.answer_batch import AnswerBatch, TextBatch

WORDS = ["red", "blue", "green", "seven", "Paris", "a dog", "the sea", "gold", "north", "Monday"]


def toy_rows(count: int = 240, answers: int = 10, seed: int = 0) -> list[dict]:
    """Records; a right greedy answer comes with agreement, a wrong one mostly without."""
    rng = random.Random(seed)
    rows = []
    for i in range(count):
        right = rng.random() < 0.6
        spread = rng.randint(1, 3) if right else rng.randint(2, 8)
        choices = rng.sample(WORDS, spread)
        sampled = [choices[0]] + [rng.choice(choices) for _ in range(answers - 1)]
        rng.shuffle(sampled)
        gold = choices[0] if right else next(word for word in WORDS if word not in choices)
        rows.append(
            {"id": f"q{i}", "question": f"What is thing {i}?", "answers": sampled, "greedy": choices[0], "gold": [gold]}
        )
    return rows


def write_toy_answers(path: Path, count: int = 240, **changes: object) -> Path:
    """Write `toy_rows` as JSON Lines, each row updated with ``changes``."""
    path.write_text("".join(json.dumps(row | changes) + "\n" for row in toy_rows(count)), encoding="utf-8")
    return path


def hidden_spec(dim: int, layer: int = 1, token: str = "last", source: str = "toy") -> VectorSpec:
    """A spec of hidden states."""
    return VectorSpec(kind="hidden", source=source, dim=dim, layer=layer, num_layers=4, token=token)  # type: ignore[arg-type]


def toy_vectors(records: list[AnswerSet], dim: int, seed: int = 0) -> VectorShard:
    """Each word a random direction, with a little noise: unlike a real model's, but agreement shows."""
    rng = np.random.default_rng(seed)
    direction = {word: rng.normal(size=dim) for word in WORDS}

    def vector(text: str) -> np.ndarray:
        return (direction[text] + 0.05 * rng.normal(size=dim)).astype(np.float32)

    return VectorShard.stack(
        [np.stack([vector(text) for text in record.answers]) for record in records],
        [vector(record.greedy or "") for record in records],
    )


def toy_store(
    path: Path, dims: tuple[int, ...] = (16,), count: int = 240, token: str = "last", **changes: object
) -> AnswerStore:
    """A store of toy answers with one hidden-state vector set for each of ``dims``."""
    records = [parse_record(row | changes) for row in toy_rows(count)]
    store = AnswerStore.create(path, {"kind": "sample", "model": "toy"})
    specs = [hidden_spec(dim, layer, token) for layer, dim in enumerate(dims, start=1)]
    for spec in specs:
        store.add_vector_set(spec)
    for start in range(0, count, 100):
        part = records[start : start + 100]
        store.append(part, {spec.name: toy_vectors(part, spec.dim, spec.layer or 0) for spec in specs})
    return store


def random_batch(sets: int = 6, layers: int = 1, answers: int = 5, dim: int = 7, seed: int = 0) -> AnswerBatch:
    """A batch of random vectors and toy texts, with labels of both kinds."""
    generator = torch.Generator().manual_seed(seed)
    rows = [row | {"logprobs": [-float(len(text)) for text in row["answers"]]} for row in toy_rows(sets, answers, seed)]
    return AnswerBatch(
        index=torch.arange(sets),
        label=(torch.arange(sets) % 2).double(),
        vectors=torch.randn(sets, layers, answers, dim, generator=generator, dtype=torch.float64),
        scored=torch.randn(sets, layers, dim, generator=generator, dtype=torch.float64),
        mask=torch.ones(sets, answers, dtype=torch.bool),
        texts=TextBatch.collate([AnswerTexts.of(parse_record(row)) for row in rows]),
        question=torch.rand(sets, generator=generator, dtype=torch.float64),
    )
