from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from sgpu_lightning.answers.storage.store import AnswerStore, StoreError
from sgpu_lightning.answers.storage.vectors import VectorError, read_shard, shard_table
from sgpu_lightning.embedding.embed_answers import embed_records, embed_store, encoder_spec
from sgpu_lightning.embedding.encoder import SentenceTransformerEncoder
from tests.answers.helpers import encoder, record
from tests.embedding.helpers import CountingEncoder, vector_of, vectors_of

SHARDS = [
    [record("a", ["x", "y", "x"]), record("b", ["y", "z"], greedy="g")],
    [record("c", ["u", "v", "w", "w"])],
    [record("d", ["x", "x"], greedy="")],
]


@pytest.fixture
def store(tmp_path):
    store = AnswerStore.create(tmp_path / "store", {})
    for shard in SHARDS:
        store.append(shard)
    return store


def embed(store, encoder, **keys):
    return embed_store(store, encoder, progress=False, **keys)


def test_records_give_vectors_of_answers_and_scored_answers():
    shard = embed_records(SHARDS[0], CountingEncoder())
    assert shard.counts.tolist() == [3, 2]
    assert np.array_equal(shard.answers, vectors_of("xyxyz"))
    assert np.array_equal(shard.scored, vectors_of("xg"))  # majority, greedy


def test_no_records_give_no_vectors():
    shard = embed_records([], CountingEncoder())
    assert shard.answers.shape == shard.scored.shape == (0, 4)
    assert shard.counts.tolist() == []


def test_spec_names_the_encoder():
    assert encoder_spec(CountingEncoder("enc", "r1", 2)) == encoder("enc", 2, "r1")


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_every_shard_gets_its_vectors(store, dtype):
    name = embed(store, CountingEncoder("org/fake"), dtype=dtype)
    assert name == "fake"
    reopened = AnswerStore.open(store.path)
    assert reopened.vector_specs == {"fake": encoder("org/fake", 4, "r1")}
    for shard, records in zip(reopened.shards, SHARDS, strict=True):
        vectors = reopened.read_vectors("fake", shard)
        expected = vectors_of([answer for one in records for answer in one.answers])
        assert np.array_equal(vectors.answers, expected.astype(dtype).astype(np.float32))
    assert np.array_equal(vectors.scored, vector_of("").astype(dtype).astype(np.float32)[None])


def test_embedding_again_asks_nothing_and_leaves_the_files_alone(store):
    def files():
        return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in store.path.rglob("*.*")}

    embed(store, CountingEncoder())
    before = files()
    again = CountingEncoder()
    embed(store, again)
    assert again.asked == []
    assert files() == before


def test_an_interrupted_run_goes_on_with_the_shards_that_lack_vectors(store):
    class Interrupted(CountingEncoder):
        def encode(self, texts):
            if "u" in texts:
                raise KeyboardInterrupt
            return super().encode(texts)

    with pytest.raises(KeyboardInterrupt):
        embed(store, Interrupted())
    assert [store.has_vectors("fake", shard) for shard in store.shards] == [True, False, False]
    again = CountingEncoder()
    embed(AnswerStore.open(store.path), again)
    assert [len(call) for call in again.asked] == [5, 3]
    assert all(store.has_vectors("fake", shard) for shard in store.shards)


def test_shards_that_came_later_are_embedded_the_next_time(store):
    embed(store, CountingEncoder())
    store.append([record("e")])
    again = CountingEncoder()
    embed(store, again)
    assert again.asked == [["Paris", "Lyon", "Paris"]]


def test_another_revision_is_refused(store):
    embed(store, CountingEncoder())
    with pytest.raises(StoreError, match=r"by encoder fake \(revision r1\).*now asked encoder fake \(revision r2\)"):
        embed(store, CountingEncoder(revision="r2"))


def test_two_encoders_may_stand_side_by_side(store):
    assert embed(store, CountingEncoder("one")) == "one"
    assert embed(store, CountingEncoder("two", dim=7)) == "two"
    assert store.read_vectors("one", store.shards[0]).answers.shape == (5, 4)
    assert store.read_vectors("two", store.shards[0]).answers.shape == (5, 7)


def test_an_encoder_that_gives_nan_is_stopped_at_the_answer_set(store):
    class Broken(CountingEncoder):
        def encode(self, texts):
            vectors = super().encode(texts)
            vectors[[text == "z" for text in texts]] = np.nan
            return vectors

    with pytest.raises(VectorError, match="answer set 'b': expected finite, non-zero vectors, got NaN"):
        embed(store, Broken())
    assert not store.has_vectors("fake", store.shards[0])


def test_a_shard_knows_how_near_the_scored_answer_is_to_the_question(tmp_path):
    minilm = SentenceTransformerEncoder("minilm")
    asked = "What is the capital of France?"
    records = [record("a", ["Paris", "Rome"], greedy="Paris", question=asked), record("b", ["x", "y"])]
    shard = embed_records(records, minilm)
    question, answer = minilm.encode([asked, "Paris"]).astype(np.float64)
    expected = question @ answer / np.linalg.norm(question) / np.linalg.norm(answer)
    np.testing.assert_allclose(shard.question, [expected, 0.0], atol=1e-6)
    pq.write_table(shard_table(shard, ["a", "b"], "float32", "here"), tmp_path / "s.parquet")
    np.testing.assert_allclose(read_shard(tmp_path / "s.parquet").question, [expected, 0.0], atol=1e-6)
