"""Stores and answer files of an earlier version are read as before, and stores can be continued."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from sgpu_lightning import AnswerSet, AnswerStore, read_answers
from sgpu_lightning.answers.labelling import write_records

LEGACY = Path(__file__).parents[1] / "legacy"
SHARD = "00000-0-df56f195.parquet"
# SHA-256 of the content as read by the version that wrote the store.
RECORDS = "ba681efd99e40b12a71d5cec44903e688ff9881af513e2589f40da230a5c0bad"
VECTORS = {
    "layer1-last": "ec04617e2918af817e48e91d968ba6b6d41b01239469331c5773edfe708da96b",
    "layer2-last": "5356e9ddd9d5c74e39c8995decaacf5fd9de110e500e20667d3b42463f1c5d41",
}


@pytest.fixture
def store(tmp_path):
    shutil.copytree(LEGACY / "store", tmp_path / "store")
    return AnswerStore.open(tmp_path / "store")


def digest(records):
    return hashlib.sha256(json.dumps([record.to_dict() for record in records]).encode()).hexdigest()


def test_an_earlier_store_has_the_same_records_and_vectors(store):
    assert store.shards == [SHARD]
    assert len(store.ids()) == 60
    assert digest(store.records()) == RECORDS
    found = {name: store.read_vectors(name, SHARD) for name in store.vector_specs}
    bytes_of = {
        name: shard.answers.tobytes() + shard.counts.tobytes() + shard.scored.tobytes() for name, shard in found.items()
    }
    assert {name: hashlib.sha256(data).hexdigest() for name, data in bytes_of.items()} == VECTORS


def test_an_earlier_store_is_continued_without_changing_what_it_holds(store):
    before = {file: file.read_bytes() for file in store.path.rglob("*.parquet")}
    resumed = AnswerStore.create(store.path, {"kind": "sample", "model": "toy"})
    vectors = {name: store.read_vectors(name, SHARD) for name in store.vector_specs}
    fresh = [AnswerSet(id=f"new-{record.id}", answers=record.answers) for record in store.records()]
    resumed.append(fresh, vectors)
    assert len(AnswerStore.open(store.path).ids()) == 120
    assert digest(store.read(SHARD)) == RECORDS
    assert {file: file.read_bytes() for file in before} == before
    assert json.loads((store.path / "manifest.json").read_text()) == json.loads(
        (LEGACY / "store" / "manifest.json").read_text()
    )


def test_an_earlier_answer_file_is_read_and_written_again(tmp_path):
    file = LEGACY / "answers.jsonl"
    records = list(read_answers(file))
    assert [record.id for record in records] == ["q1", "q2", "q3"]
    first, second, third = records
    assert (first.answers, first.greedy, first.label) == (("Paris", "paris!", "Lyon"), "Paris", 1)
    assert first.logprobs == (-0.5, -1.25, -3.0)
    assert (second.modality, second.meta["half"]) == ("image", "\ud800")
    assert third.meta["grading"] == {"grader": "alias", "label_before": 0, "reason": "it fits"}
    assert write_records(tmp_path / "again.jsonl", list(read_answers(file))) == 3
    written = [json.loads(line) for line in (tmp_path / "again.jsonl").read_text().splitlines()]
    given = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row | {"dataset": ""} for row in written] == [row | {"dataset": ""} for row in given]
