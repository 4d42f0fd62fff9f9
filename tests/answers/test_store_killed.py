"""A run that is killed while it appends leaves an intact store that can be continued."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from sgpu_lightning.answers.storage.store import AnswerStore, StoreError
from sgpu_lightning.answers.storage.vectors import VectorShard
from tests.answers.helpers import hidden, record

# The i-th answer set has i % 3 + 2 answers, and vectors that are all i + 1.
WRITER = """
import itertools, sys
import numpy as np
from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.answers.storage.vectors import VectorShard, VectorSpec

store = AnswerStore.create(sys.argv[1], {})
specs = [VectorSpec(kind="hidden", source="m", dim=4, layer=l, num_layers=9, token="last") for l in range(2)]
for spec in specs:
    store.add_vector_set(spec)
start = len(store.ids())
for i in itertools.count(start, 3):
    sets = range(i, i + 3)
    records = [AnswerSet(id=str(j), answers=tuple("abcd"[: j % 3 + 2])) for j in sets]
    vectors = [np.full((j % 3 + 2, 4), j + 1, np.float32) for j in sets]
    shard = VectorShard.stack(vectors, [v[0] for v in vectors])
    store.append(records, {spec.name: shard for spec in specs})
    if i == start:
        print("ready", flush=True)
"""


def kill_while_it_appends(path, delay):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert writer.stdout.readline() == b"ready\n", writer.stderr.read().decode()
        time.sleep(delay)
        assert writer.poll() is None, writer.stderr.read().decode()
    finally:
        writer.kill()
        writer.communicate()
    assert writer.returncode == -signal.SIGKILL


def assert_whole(store):
    """Every visible shard is readable, the ids are the first ones in order, and the vectors belong to them."""
    expected = 0
    for shard in store.shards:
        records = store.read(shard)
        counts = [len(one.answers) for one in records]
        assert [one.id for one in records] == [str(expected + k) for k in range(3)]
        values = np.arange(expected, expected + 3) + 1.0
        for name in store.vector_specs:
            vectors = store.read_vectors(name, shard)
            assert vectors.counts.tolist() == counts
            assert (vectors.answers == np.repeat(values, counts)[:, None]).all()
            assert (vectors.scored == values[:, None]).all()
        expected += 3
    assert store.ids() == {str(i) for i in range(expected)}
    return expected


def test_killed_runs_lose_at_most_the_shard_they_were_at(tmp_path):
    draw = random.Random(0)
    before = 0
    for _ in range(5):
        kill_while_it_appends(tmp_path, draw.uniform(0.0, 0.1))
        after = assert_whole(AnswerStore.open(tmp_path))
        assert after > before
        before = after


@pytest.mark.parametrize("step", range(4))
def test_a_run_that_fails_at_any_file_adds_nothing(tmp_path, monkeypatch, step):
    # Two vector sets and the answers are three files, each written and then renamed.
    import pyarrow.parquet as pq

    store = AnswerStore.create(tmp_path, {})
    specs = [hidden(layer=layer) for layer in range(2)]
    for spec in specs:
        store.add_vector_set(spec)
    vectors = VectorShard(np.ones((2, 2), np.float32), np.array([2]), np.ones((1, 2), np.float32))
    store.append([record("first")], {spec.name: vectors for spec in specs})
    write, calls = pq.write_table, iter(range(9))

    def failing(table, path, **keys):
        write(table, path, **keys)
        if next(calls) == step:
            raise OSError("disk full")

    monkeypatch.setattr(pq, "write_table", failing)
    if step == 3:  # there is no fourth file
        store.append([record("second")], {spec.name: vectors for spec in specs})
        assert store.ids() == {"first", "second"}
        return
    with pytest.raises(StoreError, match=r"cannot be written \(disk full\); the data already in the store is intact"):
        store.append([record("second")], {spec.name: vectors for spec in specs})
    assert AnswerStore.open(tmp_path).ids() == {"first"}
    assert not list(tmp_path.rglob("*.partial"))
    assert len(list(tmp_path.glob("vectors/*/*.parquet"))) == len(specs)
    store.append([record("second")], {spec.name: vectors for spec in specs})
    assert [one.id for one in store.records()] == ["first", "second"]
    assert all(store.has_vectors(name, shard) for name in store.vector_specs for shard in store.shards)
