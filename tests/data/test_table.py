from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from sgpu_lightning.answers.grading import alias_match, exact_match
from sgpu_lightning.answers.reader import Skipped
from sgpu_lightning.answers.record import RecordError, parse_record
from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.answers.storage.vectors import VectorError
from sgpu_lightning.answers.text_statistics import AnswerTexts
from sgpu_lightning.data import vector_runs as runs_module
from sgpu_lightning.data.sources import VectorChoice, open_source
from sgpu_lightning.data.table import AnswerTable, Row
from sgpu_lightning.data.vector_runs import joined_runs, vector_runs, vector_specs
from sgpu_lightning.embedding.embed_answers import embed_store
from tests.answers.helpers import hidden, random_shard, record, row, write_rows
from tests.embedding.helpers import CountingEncoder, vectors_of
from tests.toy import toy_store


def table_of(*paths, encoder=None, on_error="raise", grader=exact_match, **choice):
    """A table of files and stores, black-box if there is an encoder."""
    keys = {"encoder": lambda: encoder, "encoder_name": encoder.name} if encoder else {}
    table = AnswerTable()
    for path in paths:
        table.add(open_source(path, VectorChoice(**keys, **choice), on_error, Skipped()), grader)
    return table


def all_vectors(table):
    """All answer sets of a table as one batch."""
    return joined_runs(table, list(vector_runs(table)))


def make_store(folder, counts, *specs, seed=0):
    """A store with a shard for each list of counts, and its vectors by name."""
    store, vectors = AnswerStore.create(folder, {}), {spec.name: [] for spec in specs}
    for spec in specs:
        store.add_vector_set(spec)
    for k, shard in enumerate(counts):
        records = [record(f"{folder.name}-{k}-{i}", [f"{k}{i}{j}" for j in range(n)]) for i, n in enumerate(shard)]
        block = {spec.name: random_shard(shard, spec.dim, seed + 10 * k + n) for n, spec in enumerate(specs)}
        for name, part in block.items():
            ends = np.cumsum(part.counts)[:-1]
            vectors[name] += list(zip(np.split(part.answers, ends), part.scored, strict=True))
        store.append(records, block)
    return vectors


def assert_padded(batch, layers):
    """Set i's vectors are layers[l][i]: real rows first, zeros after them, in each of the layers."""
    width = batch.mask.shape[1]
    assert len(batch) == len(layers[0])
    for i in range(len(batch)):
        count = len(layers[0][i][0])
        assert batch.mask[i].tolist() == [True] * count + [False] * (width - count)
        for k, layer in enumerate(layers):
            answers, scored = layer[i]
            assert np.array_equal(batch.vectors[i, k, :count], answers)
            assert not batch.vectors[i, k, count:].any()
            assert np.array_equal(batch.scored[i, k], scored)


# What is kept beside the vectors


def test_a_row_for_each_answer_set(tmp_path):
    rows = [
        row(id="a", answers=["Paris", "paris.", "Lyon"], gold=["Paris"], question="Capital?", model="m"),
        row(id="b", answers=["x", "y"], greedy="z", label=0, group="g", dataset="d"),
    ]
    table = table_of(write_rows(tmp_path / "t.jsonl", rows))
    texts = [AnswerTexts.of(parse_record(one)) for one in rows]
    assert table.rows == [
        Row(id="a", group="Capital?", label=1, scored="Paris", dataset="t", model="m", texts=texts[0]),
        Row(id="b", group="g", label=0, scored="z", dataset="d", model="", texts=texts[1]),
    ]
    assert table.texts().ids.tolist() == [[0, 0, 1, 0], [0, 1, -1, 2]]


def test_labels_are_double_precision_with_nan_for_unknown(tmp_path):
    rows = [row(id="a", label=1), row(id="b", label=0), row(id="c")]
    table = table_of(write_rows(tmp_path / "t.jsonl", rows))
    assert table.labels.dtype == torch.float64
    assert table.labels[:2].tolist() == [1.0, 0.0]
    assert math.isnan(table.labels[2])


@pytest.mark.parametrize(("grader", "label"), [(exact_match, 0), (alias_match, 1)])
def test_grader_labels_what_has_gold(tmp_path, grader, label):
    path = write_rows(tmp_path / "t.jsonl", [row(greedy="It was Paris.", gold=["Paris"])])
    assert table_of(path, grader=grader).rows[0].label == label


def test_add_gives_the_new_positions(tmp_path):
    paths = [write_rows(tmp_path / f"{n}.jsonl", [row(id=str(i)) for i in range(n)]) for n in (3, 0, 2)]
    table, sources = AnswerTable(), [open_source(path, VectorChoice(), "raise", Skipped()) for path in paths]
    assert [table.add(source, exact_match) for source in sources] == [range(3), range(3, 3), range(3, 5)]
    assert [one.id for one in table.rows] == ["0", "1", "2", "0", "1"]


def test_bad_record_raises_unless_skipped(tmp_path):
    path = write_rows(tmp_path / "t.jsonl", [row(id="a"), row(id="b", answers=["x"]), row(id="c")])
    with pytest.raises(RecordError, match=r"t\.jsonl:2: key 'answers'"):
        table_of(path)
    assert [one.id for one in table_of(path, on_error="skip").rows] == ["a", "c"]


# Vectors in order, padded


def test_runs_keep_the_order_across_shards_and_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(runs_module, "_RUN", 2)
    specs = hidden(layer=0), hidden(layer=3)
    one = make_store(tmp_path / "one", [[3, 2, 4], [2]], *specs)
    two = make_store(tmp_path / "two", [[5, 5], [2, 2]], *specs, seed=99)
    table = table_of(tmp_path / "one", tmp_path / "two")
    runs = list(vector_runs(table))
    assert [len(run) for run in runs] == [2, 1, 1, 2, 2]  # a run ends with its shard
    assert torch.cat([run.index for run in runs]).tolist() == list(range(8))
    expected = [one[spec.name] + two[spec.name] for spec in specs]
    start = 0
    for run in runs:
        assert_padded(run, [layer[start : start + len(run)] for layer in expected])
        assert run.mask.shape[1] == run.mask.sum(dim=1).max()  # no wider than need be
        start += len(run)
    assert_padded(all_vectors(table), expected)


def test_runs_carry_labels_and_texts(tmp_path):
    rows = [row(id="a", label=1, answers=["x", "x"]), row(id="b", label=0), row(id="c")]
    table = table_of(write_rows(tmp_path / "t.jsonl", rows), encoder=CountingEncoder())
    for batch in (*vector_runs(table), all_vectors(table)):
        assert batch.label[:2].tolist() == [1.0, 0.0]
        assert math.isnan(batch.label[2])
        assert batch.texts.ids.tolist() == [[0, 0, 0], [0, 1, 0], [0, 1, 0]]


def test_padding_of_unequal_answers_is_each_set_alone(tmp_path):
    answers = {"a": ["p", "q"], "b": ["r", "s", "t", "u"], "c": ["v", "w", "x"]}
    path = write_rows(tmp_path / "t.jsonl", [row(id=i, answers=texts) for i, texts in answers.items()])
    together = all_vectors(table_of(path, encoder=CountingEncoder()))
    assert together.vectors.shape == (3, 1, 4, 4)
    assert together.mask.tolist() == [[True, True, False, False], [True] * 4, [True, True, True, False]]
    for i, (name, texts) in enumerate(answers.items()):
        single = write_rows(tmp_path / f"{name}.jsonl", [row(id=name, answers=texts)])
        alone = all_vectors(table_of(single, encoder=CountingEncoder()))
        assert alone.mask.all()
        assert torch.equal(together.vectors[i, :, together.mask[i]], alone.vectors[0])
        assert torch.equal(together.scored[i], alone.scored[0])
        assert not together.vectors[i, :, ~together.mask[i]].any()
        # The Gram matrix of the padded set has the same eigenvalues and zeros.
        grams = [batch[0] @ batch[0].T for batch in (together.vectors[i].double(), alone.vectors[0].double())]
        padded, plain = (torch.linalg.eigvalsh(gram).flip(0) for gram in grams)
        torch.testing.assert_close(padded, torch.cat([plain, plain.new_zeros(4 - len(texts))]))


def test_files_and_stores_stand_side_by_side(tmp_path):
    """An embedded store, one of text only, and a file: all black-box."""
    make_store(tmp_path / "embedded", [[2, 3]])
    embed_store(AnswerStore.open(tmp_path / "embedded"), CountingEncoder(), progress=False)
    make_store(tmp_path / "text", [[2], [4]])
    path = write_rows(tmp_path / "t.jsonl", [row(id="f", answers=["x", "y"])])
    table = table_of(tmp_path / "embedded", path, tmp_path / "text", encoder=CountingEncoder())
    assert [spec.source for spec in vector_specs(table)] == ["fake"]
    scored = ["000", "010", "x", "000", "100"]
    assert [one.scored for one in table.rows] == scored
    assert np.array_equal(all_vectors(table).scored[:, 0], vectors_of(scored))


def test_skipped_records_shift_nothing(tmp_path):
    rows = [row(id=i, answers=[i, i + i]) for i in "abc"]
    rows[1:1] = [row(id="bad", answers=["bad"])]
    table = table_of(write_rows(tmp_path / "t.jsonl", rows), encoder=CountingEncoder(), on_error="skip")
    assert [one.scored for one in table.rows] == ["a", "b", "c"]
    assert np.array_equal(all_vectors(table).scored[:, 0], vectors_of("abc"))


def test_shards_without_records_are_no_matter(tmp_path):
    make_store(tmp_path / "s", [[2], [], [3]])
    table = table_of(tmp_path / "s", encoder=CountingEncoder())
    assert all_vectors(table).mask.sum(dim=1).tolist() == [2, 3]


@pytest.mark.parametrize("change", [-1, 1], ids=["fewer", "more"])
def test_a_source_that_changed_since_is_noticed(tmp_path, change):
    rows = [row(id=str(i)) for i in range(4)]
    path = write_rows(tmp_path / "t.jsonl", rows[:3])
    table = table_of(path, encoder=CountingEncoder())
    write_rows(path, rows[: 3 + change])
    with pytest.raises(VectorError, match=f"vectors of {3 + change} answer sets, expected 3; has a source changed"):
        list(vector_runs(table))


# Vectors of one kind


def test_one_kind_is_named_once_for_all(tmp_path):
    make_store(tmp_path / "one", [[2]], hidden(layer=1), hidden(layer=2))
    big = {"source": "big", "num_layers": 20, "dim": 7}  # as deep: a quarter and a half
    make_store(tmp_path / "two", [[2]], hidden(layer=5, **big), hidden(layer=10, **big))
    assert vector_specs(table_of(tmp_path / "one", tmp_path / "two")) == (hidden(layer=1), hidden(layer=2))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ([hidden(layer=1)], [hidden(layer=2)]),
        ([hidden(layer=1)], [hidden(layer=1, token="mean")]),
        ([hidden(layer=1)], [hidden(layer=1), hidden(layer=2)]),
    ],
    ids=["layers", "token rules", "numbers of layers"],
)
def test_different_hidden_states_are_not_mixed(tmp_path, one, two):
    make_store(tmp_path / "one", [[2]], *one)
    make_store(tmp_path / "two", [[2]], *two)
    message = (
        f"vectors of different kinds: .*one has {one[0].describe()}, .*two has .*{two[-1].describe()}; "
        "use one encoder, or one token rule and number of layers, for all"
    )
    with pytest.raises(VectorError, match=message):
        vector_specs(table_of(tmp_path / "one", tmp_path / "two"))


def test_revisions_of_an_encoder_are_not_mixed(tmp_path):
    make_store(tmp_path / "old", [[2]])
    embed_store(AnswerStore.open(tmp_path / "old"), CountingEncoder(revision="r0"), progress=False)
    path = write_rows(tmp_path / "t.jsonl", [row()])
    message = r"different kinds: .*old has encoder fake \(revision r0\), .*t\.jsonl has encoder fake \(revision r1\);"
    with pytest.raises(VectorError, match=message):
        vector_specs(table_of(tmp_path / "old", path, encoder=CountingEncoder()))


def test_vectors_of_unequal_dimensions_are_not_joined(tmp_path):
    make_store(tmp_path / "one", [[2]], hidden(dim=2))
    make_store(tmp_path / "two", [[2]], hidden(dim=5, source="big"))
    table = table_of(tmp_path / "one", tmp_path / "two")
    assert [run.vectors.shape[-1] for run in vector_runs(table)] == [2, 5]  # features of each run are fine
    with pytest.raises(VectorError, match=r"unequal dimensions \[2, 5\]: expected one dimension, to learn"):
        all_vectors(table)


def test_layers_of_unequal_dimensions_are_not_used_together(tmp_path):
    toy_store(tmp_path / "store", dims=(16, 12), count=20)
    with pytest.raises(VectorError, match=re.escape("layers of unequal dimensions [12, 16]")):
        list(vector_runs(table_of(tmp_path / "store")))
    (run,) = vector_runs(table_of(tmp_path / "store", layers=[2]))
    assert run.vectors.shape == (20, 1, 10, 12)
