"""Merging of several stores."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from sgpu_lightning.answers.storage.merging import merge_stores
from sgpu_lightning.answers.storage.store import AnswerStore, StoreError
from sgpu_lightning.cli.main import main
from tests.answers.helpers import encoder, hidden, random_shard, record

HIDDEN = hidden(layer=1)
SETTINGS = {"kind": "sample", "model": "tiny"}


def store_of(path, *shards, dtype="float32", specs=(HIDDEN,), source=SETTINGS):
    """A store with a shard for each string of one-letter ids; vectors depend on the id alone."""
    store = AnswerStore.create(path, source)
    for spec in specs:
        store.add_vector_set(spec)
    for ids in shards:
        records = [record(name, [f"{name}0", f"{name}1"], dataset="d") for name in ids]
        parts = [random_shard([2], seed=ord(name)) for name in ids]
        vectors = random_shard([2] * len(ids))
        vectors.answers = np.concatenate([part.answers for part in parts])
        vectors.scored = np.concatenate([part.scored for part in parts])
        store.append(records, {spec.name: vectors for spec in specs}, dtype)
    return store


def content(store):
    """Record and vectors of each id; a repeated id is visible."""
    found = []
    for shard in store.shards:
        for name in store.vector_specs:
            table = pq.read_table(store.path / "vectors" / name / shard)
            rows = zip(store.read(shard), table.to_pylist(), strict=True)
            found += [(one.id, name, one.to_dict(), row) for one, row in rows]
    return sorted(found, key=lambda row: row[:2])


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_merged_store_holds_what_one_store_would(tmp_path, dtype):
    one = store_of(tmp_path / "one", "abcdefg", dtype=dtype)
    store_of(tmp_path / "left", "ab", "e", dtype=dtype)
    store_of(tmp_path / "right", "cdf", "g", dtype=dtype)
    merged, added, present = merge_stores([tmp_path / "left", tmp_path / "right"], tmp_path / "out")
    assert (added, present) == (7, 0)
    assert content(merged) == content(one)
    assert merged.source == one.source
    assert merged.vector_specs == one.vector_specs


def test_what_several_stores_hold_is_taken_once(tmp_path):
    store_of(tmp_path / "left", "abc")
    store_of(tmp_path / "right", "bcd", "a")
    merged, added, present = merge_stores([tmp_path / "left", tmp_path / "right"], tmp_path / "out")
    assert (added, present) == (4, 3)
    assert content(merged) == content(store_of(tmp_path / "one", "abcd"))


def test_merging_again_adds_what_is_new(tmp_path):
    left = store_of(tmp_path / "left", "ab")
    merge_stores([left.path], tmp_path / "out")
    store_of(tmp_path / "left", "cd")
    merged, added, present = merge_stores([left.path], tmp_path / "out")
    assert (added, present) == (2, 2)
    assert content(merged) == content(AnswerStore.open(left.path))


def test_other_answers_under_one_id_are_refused_and_nothing_is_written(tmp_path):
    store_of(tmp_path / "left", "a")
    right = AnswerStore.create(tmp_path / "right", SETTINGS)
    right.append([record("a", ["other", "answers"], dataset="d")])
    message = r"right: answer set 'a' has different content than in .*left: expected stores with the same content"
    with pytest.raises(StoreError, match=message):
        merge_stores([tmp_path / "left", tmp_path / "right"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_stores_of_other_settings_are_refused_listing_what_differs(tmp_path):
    store_of(tmp_path / "left", "a")
    store_of(tmp_path / "right", "b", source=SETTINGS | {"model": "big"})
    with pytest.raises(StoreError, match=r"right: made with other settings than .*left:\n  model: .*left has 'tiny', "):
        merge_stores([tmp_path / "left", tmp_path / "right"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_vectors_that_one_store_lacks_are_lacking_for_its_answers_alone(tmp_path):
    store_of(tmp_path / "left", "a", specs=[HIDDEN, encoder()])
    store_of(tmp_path / "right", "b")
    merged, *_ = merge_stores([tmp_path / "left", tmp_path / "right"], tmp_path / "out")
    assert [merged.has_vectors("enc", shard) for shard in merged.shards] == [True, False]
    assert all(merged.has_vectors("layer1-last", shard) for shard in merged.shards)


def test_no_store_to_merge_is_refused(tmp_path):
    with pytest.raises(StoreError, match="expected at least one store to merge, got none"):
        merge_stores([], tmp_path / "out")


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store_of("left", "ab")
    store_of("right", "bc")
    assert main(["merge", "left", "right", "--out", "out"]) == 0
    assert "3 answer sets added to out, 1 were already there; it holds 3" in capsys.readouterr().out
    assert main(["merge", "[left,right]", "--out", "out"]) == 0
    assert main(["merge", "left", "nowhere", "--out", "out"]) == 1
    assert "sgpu merge: nowhere: not a store" in capsys.readouterr().err
