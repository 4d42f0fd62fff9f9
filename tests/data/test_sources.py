from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sgpu_lightning.answers.reader import Skipped
from sgpu_lightning.answers.record import RecordError
from sgpu_lightning.answers.storage.store import AnswerStore, StoreError
from sgpu_lightning.answers.storage.vectors import VectorError
from sgpu_lightning.data.sources import FileSource, StoreSource, VectorChoice, open_source
from sgpu_lightning.embedding.embed_answers import embed_store
from tests.answers.helpers import SUFFIXES, encoder, hidden, random_shard, record, row, write_lines, write_rows
from tests.embedding.helpers import CountingEncoder, vector_of, vectors_of
from tests.toy import toy_store

WHITE_BOX = VectorChoice()


def black_box(behind=None, name="fake"):
    behind = behind or CountingEncoder(name)
    return VectorChoice(encoder=lambda: behind, encoder_name=behind.name)


def never_loaded(name="fake"):
    def load():
        raise AssertionError("the encoder was loaded")

    return VectorChoice(encoder=load, encoder_name=name)


def opened(path, choice=WHITE_BOX, on_error="raise"):
    return open_source(path, choice, on_error, Skipped())


def make_store(folder, *specs, shards=(("a", "b"), ("c",))):
    """A store with random hidden states; the vectors by name and shard."""
    store, vectors = AnswerStore.create(folder, {}), {}
    for spec in specs:
        store.add_vector_set(spec)
    for k, ids in enumerate(shards):
        records = [record(i, [f"{i}{j}" for j in range(2 + k)]) for i in ids]
        block = {spec.name: random_shard([2 + k] * len(ids), spec.dim, seed=k) for spec in specs}
        vectors |= {(name, k): shard for name, shard in block.items()}
        store.append(records, block)
    return store, vectors


def flat(source):
    """All vectors of a source's first layer: of the answers, and of the scored answers."""
    shards = [layers[0] for layers in source.vectors()]
    return np.concatenate([shard.answers for shard in shards]), np.concatenate([shard.scored for shard in shards])


# Files


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_file_is_embedded_as_it_is_read(tmp_path, suffix):
    path = write_rows(tmp_path / f"a{suffix}", [row(id="a"), row(id="b", answers=["x", "y", "x"], greedy="g")])
    source = opened(path, black_box())
    assert isinstance(source, FileSource)
    assert source.name == str(path)
    assert [one.id for one in source.records()] == ["a", "b"]
    assert source.specs() == (encoder("fake", 4, "r1"),)
    ((shard,),) = source.vectors()
    assert shard.counts.tolist() == [2, 3]
    assert np.array_equal(shard.answers, vectors_of(["Paris", "Lyon", "x", "y", "x"]))
    assert np.array_equal(shard.scored, vectors_of(["Paris", "g"]))


def test_file_is_embedded_in_bounded_runs_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr("sgpu_lightning.data.sources._FILE_CHUNK", 2)
    path = write_rows(tmp_path / "a.jsonl", [row(id=i, answers=[i, i * 2]) for i in "abcde"])
    source = opened(path, black_box())
    assert [len(shard.counts) for (shard,) in source.vectors()] == [2, 2, 1]
    assert np.array_equal(flat(source)[1], vectors_of("abcde"))


def test_skipped_records_shift_nothing(tmp_path):
    good = {i: [i, i + i] for i in "abcd"}
    rows = [row(id=i, answers=texts) for i, texts in good.items()]
    rows[1:1] = [row(id="bad", answers=["only one"])]
    rows[4:4] = [row(id="a", answers=["again", "again"])]
    skipped = Skipped()
    source = open_source(write_rows(tmp_path / "a.jsonl", rows), black_box(), "skip", skipped)
    assert [one.id for one in source.records()] == list("abcd")
    answers, scored = flat(source)
    assert np.array_equal(answers, vectors_of([text for texts in good.values() for text in texts]))
    assert np.array_equal(scored, vectors_of("abcd"))
    assert [message.split(": ")[0] for message in skipped.messages] == [f"{source.name}:2", f"{source.name}:5"]


def test_bad_record_raises_while_reading_texts_and_vectors(tmp_path):
    source = opened(write_lines(tmp_path / "a.jsonl", "{}"), black_box())
    for read in (source.records, source.vectors):
        with pytest.raises(RecordError, match=r"a\.jsonl:1: key 'id' is missing"):
            list(read())


def test_file_needs_an_encoder(tmp_path):
    source = opened(write_rows(tmp_path / "a.jsonl", [row()]))
    for read in (source.specs, lambda: list(source.vectors())):
        with pytest.raises(VectorError, match=r"a\.jsonl: an answer file holds no hidden states: .*such as minilm"):
            read()


def test_encoder_that_gives_nan_is_stopped_at_the_answer_set(tmp_path):
    behind = CountingEncoder()
    behind.encode = lambda texts: np.where(np.array(texts)[:, None] == "y", np.nan, vectors_of(texts))
    path = write_rows(tmp_path / "a.jsonl", [row(id="a"), row(id="b", answers=["x", "y"])])
    with pytest.raises(VectorError, match=r"a\.jsonl: answer set 'b': expected finite, non-zero vectors, got NaN"):
        list(opened(path, black_box(behind)).vectors())


# Stores of hidden states


def test_store_gives_its_hidden_states_shard_after_shard(tmp_path):
    store, expected = make_store(tmp_path, hidden(layer=2), hidden(layer=0, dim=3))
    source = opened(store.path)
    assert isinstance(source, StoreSource)
    assert [one.id for one in source.records()] == ["a", "b", "c"]
    assert source.specs() == (hidden(layer=0, dim=3), hidden(layer=2))  # by layer
    for k, layers in enumerate(source.vectors()):
        for name, shard in zip(("layer0-last", "layer2-last"), layers, strict=True):
            assert np.array_equal(shard.answers, expected[name, k].answers)
            assert np.array_equal(shard.scored, expected[name, k].scored)
            assert np.array_equal(shard.counts, expected[name, k].counts)


@pytest.mark.parametrize(
    ("layers", "token", "given"),
    [
        (None, "last", ["layer0-last", "layer2-last"]),
        (None, "mean", ["layer0-mean"]),
        ([2], "last", ["layer2-last"]),
        ([2, 0], "last", ["layer0-last", "layer2-last"]),
        ([0], "mean", ["layer0-mean"]),
    ],
)
def test_layers_and_token_rule_may_be_chosen(tmp_path, layers, token, given):
    make_store(tmp_path, hidden(layer=0), hidden(layer=2), hidden(layer=0, token="mean"))
    source = opened(tmp_path, VectorChoice(layers=layers, token=token))
    assert [spec.name for spec in source.specs()] == given


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"layers": [1]}, "layers [1]"),
        ({"token": "last"}, "token last"),
        ({"layers": [], "token": "mean"}, "layers [], "),
    ],
)
def test_hidden_states_beside_an_encoder_are_refused(asked, named):
    with pytest.raises(VectorError, match=re.escape(f"{named}")) as refused:
        VectorChoice(encoder=lambda: None, encoder_name="minilm", **asked)
    assert "got encoder 'minilm' as well; set the encoder to null" in str(refused.value)


@pytest.mark.parametrize("layers", [None, [0], [0, 2]])
def test_two_token_rules_need_a_choice(tmp_path, layers):
    make_store(tmp_path, hidden(layer=0), hidden(layer=0, token="mean"))
    message = (
        r"expected hidden states of one token rule \(token not given\), the store holds: hidden states of tiny, "
        r"layer 0 of 4, last token; .*mean token; change --data\.encoder, --data\.layers or --data\.token"
    )
    with pytest.raises(VectorError, match=message):
        opened(tmp_path, VectorChoice(layers=layers)).specs()


@pytest.mark.parametrize(
    ("specs", "choice", "message"),
    [
        ([hidden(layer=1)], {"layers": [2]}, r"expected layers \[2\], token any, the store holds: .* layer 1 of 4"),
        ([hidden(layer=1)], {"layers": [1, 2]}, r"expected layers \[1, 2\], token any"),
        ([hidden(layer=1)], {"layers": []}, r"expected layers \[\], token any"),
        ([hidden(layer=1)], {"token": "mean"}, r"one token rule \(token mean\), the store holds: .* last token"),
        ([hidden(layer=1)], {"layers": [1], "token": "mean"}, r"one token rule \(token mean\), .* last token"),
        ([], {}, "expected hidden states of .*, the store holds: no vectors; .*'sgpu embed' or 'sgpu sample'"),
        ([encoder()], {}, r"expected hidden states of .*, the store holds: encoder enc \(revision r1\)"),
    ],
)
def test_vectors_that_the_store_lacks_are_named_with_those_it_holds(tmp_path, specs, choice, message):
    make_store(tmp_path, *specs)
    source = opened(tmp_path, VectorChoice(**choice))
    for read in (source.specs, lambda: list(source.vectors())):
        with pytest.raises(VectorError, match=f"^{re.escape(str(tmp_path))}: .*{message}"):
            read()


# Stores and an encoder


@pytest.mark.parametrize("specs", [[], [hidden()]], ids=["text only", "hidden states"])
def test_store_without_black_box_vectors_is_embedded_on_the_way(tmp_path, specs):
    make_store(tmp_path, *specs)
    before = sorted(tmp_path.rglob("*"))
    source = opened(tmp_path, black_box())
    assert source.specs() == (encoder("fake", 4, "r1"),)
    answers, scored = flat(source)
    assert np.array_equal(answers, vectors_of(["a0", "a1", "b0", "b1", "c0", "c1", "c2"]))
    assert np.array_equal(scored, vectors_of(["a0", "b0", "c0"]))
    assert sorted(tmp_path.rglob("*")) == before  # reading writes nothing


def test_vectors_in_the_store_need_no_encoder_loaded(tmp_path):
    store, _ = make_store(tmp_path, hidden())
    embed_store(store, CountingEncoder(), progress=False)
    source = opened(tmp_path, never_loaded())
    assert source.specs() == (encoder("fake", 4, "r1"),)
    assert np.array_equal(flat(source)[1], vectors_of(["a0", "b0", "c0"]))


def test_store_embedded_half_way_says_how_to_go_on(tmp_path):
    store, _ = make_store(tmp_path)
    embed_store(store, CountingEncoder(), progress=False)
    store.append([record("d")])
    reading = opened(tmp_path, never_loaded()).vectors()
    assert len(next(reading)[0].counts) == 2
    next(reading)
    with pytest.raises(
        VectorError, match=r"shard 00002-0-\w+\.parquet has no 'fake' vectors: run 'sgpu embed' on the store"
    ):
        next(reading)


def test_store_with_another_encoder_names_both(tmp_path):
    store, _ = make_store(tmp_path)
    embed_store(store, CountingEncoder("org/other"), progress=False)
    message = r"expected vectors of encoder fake, the store holds: encoder org/other \(revision r1\); change --data"
    with pytest.raises(VectorError, match=message):
        opened(tmp_path, never_loaded()).specs()


def test_one_of_several_encoders_may_be_chosen(tmp_path):
    store, _ = make_store(tmp_path)
    for name, dim in (("one", 3), ("two", 5)):
        embed_store(store, CountingEncoder(name, dim=dim), progress=False)
    assert np.array_equal(flat(opened(tmp_path, never_loaded("two")))[1][0], vector_of("a0", 5))


# Paths


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "no such answer file or store folder"),
        ("none.jsonl", "no such file; expected an answer file"),
        ("none.parquet", "no such file; expected an answer file"),
    ],
)
def test_nothing_there(tmp_path, name, message):
    with pytest.raises(FileNotFoundError, match=f"{name}: {message}"):
        list(opened(tmp_path / name, black_box()).records())


def test_folder_that_is_no_store(tmp_path):
    with pytest.raises(StoreError, match=r"not a store \(no manifest\.json\)"):
        opened(tmp_path)


def test_file_of_an_unknown_kind(tmp_path):
    (tmp_path / "a.csv").write_text("id,answers\n")
    with pytest.raises(ValueError, match=r"a\.csv: unknown kind of file, expected one of \.jsonl"):
        list(opened(tmp_path / "a.csv", black_box()).records())


def test_home_folder_may_be_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_rows(tmp_path / "a.jsonl", [row()])
    assert [one.id for one in opened("~/a.jsonl", black_box()).records()] == ["q1"]


@pytest.mark.parametrize(("value", "got"), [(np.nan, "NaN or infinity"), (0.0, "a zero vector")])
def test_bad_vectors_in_a_store_are_named(tmp_path, value, got):
    store = toy_store(tmp_path / "s", count=20)
    (name,) = store.vector_specs
    file = store.path / "vectors" / name / store.shards[0]
    table = pq.read_table(file)
    rows = table.column("scored").to_pylist()
    rows[7] = [value] * 16
    changed = pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(rows), pa.float32()), 16)
    pq.write_table(table.set_column(table.column_names.index("scored"), "scored", changed), file)
    source = open_source(store.path, VectorChoice(), "raise", Skipped())
    with pytest.raises(VectorError, match=f"answer set 'q7': expected finite, non-zero vectors, got {got}"):
        list(source.vectors())
