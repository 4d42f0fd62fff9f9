from __future__ import annotations

import json
import os
import re
import tempfile
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpu_lightning.answers.reader import read_answers
from sgpu_lightning.answers.record import RecordError
from sgpu_lightning.answers.storage.orphans import ORPHAN_AGE
from sgpu_lightning.answers.storage.store import AnswerStore, StoreError
from sgpu_lightning.answers.storage.vectors import VectorError, VectorShard
from tests.answers.helpers import encoder, hidden, random_shard, record, several_records

SETTINGS = {"kind": "sample", "model": "tiny", "temperature": 1.0}


@pytest.fixture
def store(tmp_path):
    return AnswerStore.create(tmp_path / "store", SETTINGS)


def sets(*ids, count=2):
    return [record(identity, answers=[f"{identity}{i}" for i in range(count)]) for identity in ids]


def with_layers(store, *layers, dim=2):
    for layer in layers:
        store.add_vector_set(hidden(layer=layer, dim=dim))
    return store


@given(st.lists(several_records, max_size=3))
@settings(max_examples=30, deadline=None)
def test_any_records_survive_the_store(shards):
    with tempfile.TemporaryDirectory() as folder:
        for shard in shards:
            AnswerStore.create(folder, SETTINGS).append(shard)
        store = AnswerStore.open(folder) if shards else AnswerStore.create(folder, SETTINGS)
        assert [store.read(name) for name in store.shards] == shards
        assert list(store.records()) == [one for shard in shards for one in shard]
        assert store.ids() == {one.id for one in store.records()}


def test_new_store_is_empty(store):
    assert store.shards == []
    assert store.ids() == set()
    assert list(store.records()) == []
    assert store.vector_specs == {}


def test_answer_shard_is_a_file_of_records(store):
    store.append(sets("a", "b"))
    (shard,) = store.shards
    name = shard.removesuffix(".parquet")
    assert list(read_answers(store.path / "answers" / shard)) == [
        record("a", ["a0", "a1"], dataset=name),
        record("b", ["b0", "b1"], dataset=name),
    ]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_vectors_stand_beside_their_records(store, dtype):
    with_layers(store, 1, 2)
    shards = [{f"layer{layer}-last": random_shard([2, 3], seed=10 * i + layer) for layer in (1, 2)} for i in range(2)]
    for i, vectors in enumerate(shards):
        store.append([record(f"a{i}"), record(f"b{i}", answers="xyz")], vectors, dtype)
    reopened = AnswerStore.open(store.path)
    for name, vectors in zip(reopened.shards, shards, strict=True):
        for layer, expected in vectors.items():
            assert reopened.has_vectors(layer, name)
            read = reopened.read_vectors(layer, name)
            assert read.answers.tobytes() == expected.answers.astype(dtype).astype(np.float32).tobytes()
            assert read.scored.tobytes() == expected.scored.astype(dtype).astype(np.float32).tobytes()
            assert read.counts.tolist() == [2, 3]
            ids = pq.read_table(reopened.path / "vectors" / layer / name, columns=["id"]).column("id").to_pylist()
            assert ids == [one.id for one in reopened.read(name)]


def test_same_vectors_give_the_same_bytes(tmp_path):
    files = []
    for name in ("one", "two"):
        store = with_layers(AnswerStore.create(tmp_path / name, SETTINGS), 1)
        store.append(sets("a"), {"layer1-last": random_shard([2])})
        files.append([file.read_bytes() for file in sorted(store.path.rglob("*.parquet"))])
    assert files[0] == files[1]


@pytest.mark.parametrize("source", [SETTINGS, {"layers": (1, 2)}, {"kind": None}, {}], ids=str)
def test_same_settings_go_on_with_the_store(tmp_path, source):
    AnswerStore.create(tmp_path, source).append(sets("a"))
    again = AnswerStore.create(tmp_path, source)
    again.append(sets("b"))
    assert [shard.split("-")[0] for shard in again.shards] == ["00000", "00001"]
    assert [one.id for one in again.records()] == ["a", "b"]


def test_other_settings_are_refused_listing_what_differs(store):
    with pytest.raises(StoreError, match="made with other settings; choose another --out or the same") as caught:
        AnswerStore.create(store.path, {"kind": "sample", "model": "big", "top_p": 0.9})
    assert str(caught.value).splitlines()[1:] == [
        "  model: the store has 'tiny', now asked 'big'",
        "  temperature: the store has 1.0, now asked None",
        "  top_p: the store has None, now asked 0.9",
    ]


def test_of_nested_settings_only_what_differs_is_listed(tmp_path):
    AnswerStore.create(tmp_path, {"settings": {"seed": 0, "top_p": 0.9, "chat": {"think": True}}})
    with pytest.raises(StoreError) as caught:
        AnswerStore.create(tmp_path, {"settings": {"seed": 0, "top_p": 0.8, "chat": {"think": False}}})
    assert str(caught.value).splitlines()[1:] == [
        "  settings.chat.think: the store has True, now asked False",
        "  settings.top_p: the store has 0.9, now asked 0.8",
    ]


@pytest.mark.parametrize("path", ["none", "."], ids=["nothing there", "a folder"])
def test_open_refuses_what_is_no_store(tmp_path, path):
    with pytest.raises(StoreError, match=r"not a store \(no manifest.json\); make one with 'sgpu import' or 'sgpu sam"):
        AnswerStore.open(tmp_path / path)


def test_create_refuses_a_file(tmp_path):
    (tmp_path / "a.jsonl").touch()
    with pytest.raises(StoreError, match=r"a\.jsonl: expected a folder for the store, got a file"):
        AnswerStore.create(tmp_path / "a.jsonl", SETTINGS)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("", r"not readable as JSON \(Expecting value"),
        ('{"format_version": 1, "sou', "not readable as JSON"),
        (b"\xff\xfe", "not readable as JSON .*utf-8"),
        ("[]", "not a store's manifest: expected an object with format_version"),
        ("{}", "not a store's manifest"),
        ('{"format_version": 1}', r"expected objects under 'source' and 'vectors', got none under \['source', 'vec"),
        ('{"format_version": 1, "source": {}, "vectors": []}', r"expected objects .*, got none under \['vectors'\]"),
        ('{"format_version": 3}', "expected format_version 1 or 2, got 3; upgrade sgpu_lightning or write the store "),
    ],
)
def test_bad_manifest_is_refused(store, manifest, message):
    file = store.path / "manifest.json"
    file.write_bytes(manifest if isinstance(manifest, bytes) else manifest.encode())
    for call in (AnswerStore.open, lambda path: AnswerStore.create(path, SETTINGS)):
        with pytest.raises(StoreError, match=f"^{re.escape(str(file))}: {message}"):
            call(store.path)


def test_damaged_answer_shard_is_named(store):
    store.append(sets("a"))
    (store.path / "answers" / "00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(RecordError, match=r"00000\.parquet: not a readable Parquet file"):
        list(store.records())


def test_announcing_a_vector_set_again_is_no_matter(store):
    for _ in range(2):
        store.add_vector_set(encoder())
    assert AnswerStore.open(store.path).vector_specs == {"enc": encoder()}


@pytest.mark.parametrize(
    ("spec", "other", "message"),
    [
        (encoder(), encoder(dim=3), r"by encoder enc .* \(dimension 2\), now asked encoder enc .* \(dimension 3\)"),
        (encoder(), encoder(revision="r2"), r"by encoder enc \(revision r1\) .* now asked encoder enc \(revision r2\)"),
        (encoder("one/enc"), encoder("two/enc"), r"by encoder one/enc .* now asked encoder two/enc"),
        (hidden(), hidden(source="big"), "by hidden states of tiny, layer 1 of 4, last token .* hidden states of big"),
    ],
    ids=["dimension", "revision", "encoder", "model"],
)
def test_other_vectors_under_the_same_name_are_refused(store, spec, other, message):
    store.add_vector_set(spec)
    with pytest.raises(StoreError, match=rf"vectors '[\w-]+' were made {message}.*; write another store$"):
        store.add_vector_set(other)
    assert AnswerStore.open(store.path).vector_specs == {spec.name: spec}


def test_vector_sets_announced_by_another_process_are_kept(store):
    other = AnswerStore.open(store.path)
    store.add_vector_set(encoder("one"))
    other.add_vector_set(encoder("two"))
    assert set(AnswerStore.open(store.path).vector_specs) == {"one", "two"}


def test_missing_vectors_name_store_shard_and_cure(store):
    with_layers(store, 1).append(sets("a"))
    assert not store.has_vectors("layer1-last", "00000.parquet")
    with pytest.raises(VectorError, match=r"shard 00000\.parquet has no 'layer1-last' vectors: run 'sgpu embed'"):
        store.read_vectors("layer1-last", "00000.parquet")


def test_vectors_of_another_dimension_are_refused(store):
    with_layers(store, 1, dim=3)
    with pytest.raises(VectorError, match="'layer1-last': expected dimension 3, got 2"):
        store.append(sets("a"), {"layer1-last": random_shard([2])})
    assert store.shards == []


def test_vectors_that_are_not_what_the_manifest_says_are_refused(store):
    with_layers(store, 1).append(sets("a"), {"layer1-last": random_shard([2])})
    store.manifest["vectors"]["layer1-last"]["dim"] = 3
    (shard,) = store.shards
    with pytest.raises(VectorError, match=rf"{re.escape(shard)}: expected vectors of dimension 3, got 2"):
        store.read_vectors("layer1-last", shard)


@pytest.mark.parametrize(("value", "dtype"), [(np.nan, "float32"), (0.0, "float32"), (1e5, "float16")])
def test_bad_vectors_leave_nothing_behind(store, value, dtype):
    with_layers(store, 1, 2)
    bad = random_shard([2])
    bad.answers[1] = value
    target = re.escape(str(store.path / "vectors" / "layer2-last" / "00000-0-"))
    with pytest.raises(VectorError, match=rf"^{target}\w+\.parquet: "):
        store.append(sets("a"), {"layer1-last": random_shard([2]), "layer2-last": bad}, dtype)
    assert store.shards == []
    assert [file.name for file in store.path.rglob("*") if file.is_file() and file.name != ".lock"] == ["manifest.json"]


def test_numbers_of_vectors_and_records_must_agree(store):
    with_layers(store, 1)
    with pytest.raises(VectorError, match=r"expected counts of 2, scored vectors of 2 answer sets .* got 1, 1 and 2"):
        store.append(sets("a", "b"), {"layer1-last": random_shard([2])})
    assert store.shards == []


def test_orphaned_vectors_never_pass_for_those_of_other_records(store):
    with_layers(store, 1)
    store.write_vectors("layer1-last", "00000-0-dead.parquet", ["dead"], random_shard([2]))
    assert AnswerStore.open(store.path).shards == []
    assert store.ids() == set()
    store.append(sets("a"))
    assert not store.has_vectors("layer1-last", store.shards[0])


def leave_orphans(store, age):
    """Leave the files of a run killed while it appends: a partly written file, and vectors without their answers."""
    with_layers(store, 1).write_vectors("layer1-last", "00007-0-dead.parquet", ["dead"], random_shard([2]))
    partial = store.path / "answers" / ".00007-0-dead.parquet.12ab.partial"
    partial.write_bytes(b"PAR1")
    orphans = [store.path / "vectors" / "layer1-last" / "00007-0-dead.parquet", partial]
    for file in orphans:
        os.utime(file, (time.time() - age,) * 2)
    return orphans


@pytest.mark.parametrize("go_on", ["create", "append"])
def test_what_killed_runs_left_is_removed(store, go_on):
    store.append(sets("a"))
    orphans = leave_orphans(store, age=ORPHAN_AGE + 60)
    AnswerStore.create(store.path, SETTINGS) if go_on == "create" else AnswerStore.open(store.path).append(sets("b"))
    assert [file.exists() for file in orphans] == [False, False]
    assert "a" in AnswerStore.open(store.path).ids()


def test_what_a_living_writer_may_still_need_stays(store):
    orphans = leave_orphans(store, age=ORPHAN_AGE - 60)
    AnswerStore.create(store.path, SETTINGS).append(sets("a"))
    assert [file.exists() for file in orphans] == [True, True]


def test_reading_removes_nothing(store):
    orphans = leave_orphans(store, age=ORPHAN_AGE + 60)
    list(AnswerStore.open(store.path).records())
    assert [file.exists() for file in orphans] == [True, True]


def test_partial_files_and_strangers_are_ignored(store):
    store.append(sets("a"))
    shards = store.shards
    for name in (".00001.parquet.123.partial", "00001.parquet.123.partial", "copy of 00000.parquet", "notes.txt"):
        (store.path / "answers" / name).write_bytes(b"junk")
    assert AnswerStore.open(store.path).shards == shards
    store.append(sets("b"))
    assert [one.id for one in store.records()] == ["a", "b"]


def test_a_shard_taken_out_is_no_reason_to_overwrite_another(store):
    for identity in "abc":
        store.append(sets(identity))
    (store.path / "answers" / store.shards[0]).unlink()
    AnswerStore.open(store.path).append(sets("d"))
    assert [one.id for one in store.records()] == ["b", "c", "d"]
    assert store.ids() == set("bcd")


def as_format_1(store):
    """The store as earlier versions wrote it: shards named by a number alone."""
    for i, shard in enumerate(store.shards):
        for file in store.path.glob(f"*/**/{shard}"):
            file.rename(file.with_name(f"{i:05d}.parquet"))
    store.manifest["format_version"] = 1
    (store.path / "manifest.json").write_text(json.dumps(store.manifest))


def test_a_store_of_format_1_is_read_and_gone_on_with(store):
    with_layers(store, 1)
    for i, identity in enumerate("ab"):
        store.append(sets(identity), {"layer1-last": random_shard([2], seed=i)})
    as_format_1(store)
    old = AnswerStore.create(store.path, SETTINGS)
    assert old.shards == ["00000.parquet", "00001.parquet"]
    expected = random_shard([2], seed=1).answers
    assert old.read_vectors("layer1-last", "00001.parquet").answers.tobytes() == expected.tobytes()
    assert json.loads((store.path / "manifest.json").read_text())["format_version"] == 1
    old.append(sets("c"), {"layer1-last": random_shard([2], seed=2)})
    # Earlier versions would silently ignore a shard of the new name.
    assert json.loads((store.path / "manifest.json").read_text())["format_version"] == 2
    again = AnswerStore.open(store.path)
    assert [one.id for one in again.records()] == ["a", "b", "c"]
    assert all(again.has_vectors("layer1-last", shard) for shard in again.shards)


def test_shards_are_in_order_of_number_then_rank(tmp_path):
    stores = {rank: AnswerStore.create(tmp_path, SETTINGS, rank=rank) for rank in (10, 2, 0)}
    for turn in range(2):
        for rank, store in stores.items():
            store.append(sets(f"{turn}-{rank}"))
    assert [one.id for one in store.records()] == ["0-0", "0-2", "0-10", "1-0", "1-2", "1-10"]


def test_writers_that_know_nothing_of_one_another_share_no_name(tmp_path):
    stores = [AnswerStore.create(tmp_path, SETTINGS) for _ in range(20)]
    for i, store in enumerate(stores):
        store.append(sets(f"a{i}"))
    assert stores[0].ids() == {f"a{i}" for i in range(20)}
    assert len(stores[0].shards) == 20


def test_failed_write_leaves_the_manifest_as_it_was(store, monkeypatch):
    before = (store.path / "manifest.json").read_bytes()
    monkeypatch.setattr(json, "dumps", lambda *_, **__: "\ud800")  # cannot be written as UTF-8
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        store.add_vector_set(encoder())
    assert (store.path / "manifest.json").read_bytes() == before
    assert sorted(path.name for path in store.path.iterdir() if path.name != ".lock") == ["answers", "manifest.json"]


def test_shard_without_records_is_no_matter(store):
    with_layers(store, 1)
    nothing = VectorShard(np.empty((0, 2), np.float32), np.array([], np.int64), np.empty((0, 2), np.float32))
    store.append([], {"layer1-last": nothing})
    assert store.read_vectors("layer1-last", store.shards[0]).answers.shape == (0, 2)
    assert store.ids() == set()
