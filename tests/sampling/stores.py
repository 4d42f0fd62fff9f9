"""The content of a store, independent of its shards, and a sampler without a model."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import torch

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.sampling.outcome import Failed, Sampled


def content(store: AnswerStore) -> tuple[dict[str, dict], dict[str, dict[str, np.ndarray]]]:
    """Each answer set's record, and its vectors of each kind, [N + 1, d], by id; no id may occur twice."""
    records, vectors = {}, {}
    for shard in store.shards:
        sets = store.read(shard)
        blocks = {name: store.read_vectors(name, shard) for name in store.vector_specs}
        for i, one in enumerate(sets):
            assert one.id not in records, f"{one.id} occurs twice"
            records[one.id] = one.to_dict()
            vectors[one.id] = {}
            for name, block in blocks.items():
                end = int(block.counts[: i + 1].sum())
                rows = block.answers[end - int(block.counts[i]) : end]
                vectors[one.id][name] = np.vstack([rows, block.scored[i]])
    return records, vectors


def assert_same_content(store: AnswerStore, expected: AnswerStore) -> None:
    """Check that ids and texts are equal, and log-probabilities and vectors up to rounding, which differs by batch."""
    (records, vectors), (wanted, wanted_vectors) = content(store), content(expected)
    assert records.keys() == wanted.keys()
    for name, record in wanted.items():
        inexact = {"logprobs": None, "meta": None}
        assert records[name] | inexact == record | inexact
        np.testing.assert_allclose(records[name]["logprobs"], record["logprobs"], atol=1e-4)
        assert records[name]["meta"]["answer_tokens"] == record["meta"]["answer_tokens"]
        assert vectors[name].keys() == wanted_vectors[name].keys()
        for kind, rows in wanted_vectors[name].items():
            np.testing.assert_allclose(vectors[name][kind], rows, atol=1e-4)


class Oracle:
    """A sampler whose answers and vectors depend only on the question's id."""

    model_name, revision, layers, num_layers, token = "oracle", None, (1,), 4, "last"

    def __init__(self, refused=(), before=None, order=None, **described):
        self.refused, self.before, self.order, self.described = set(refused), before, order or list, described
        self.asked = Counter()

    def answer(self, questions):
        for i, question in enumerate(self.order(questions)):
            if self.before is not None:
                self.before(i)
            self.asked[question.id] += 1
            yield Failed(question, f"no answer to {question.id}") if question.id in self.refused else self.say(question)

    def say(self, question):
        seed = int.from_bytes(hashlib.sha256(question.id.encode()).digest()[:4], "big")
        rows = torch.randn(4, 5, generator=torch.Generator().manual_seed(seed))
        record = AnswerSet(
            id=question.id,
            question=question.question,
            context=question.context,
            gold=question.gold,
            answers=tuple(f"{question.id} {j}" for j in range(3)),
            greedy=f"{question.id} greedy",
            logprobs=(-1.0, -2.0, -3.0),
            model="oracle",
            meta={"answer_tokens": [1, 2, 3]},
        )
        return Sampled(record, {1: (rows[1:], rows[0])})

    def describe(self):
        return {"model": "oracle", **self.described}
