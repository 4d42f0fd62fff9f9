"""Invented records, and files of them written without the package's own writers."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.storage.vectors import VectorShard, VectorSpec

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet")


def row(**changes) -> dict:
    """The smallest valid row, with changes; a change to ``...`` removes the key."""
    merged = {"id": "q1", "answers": ["Paris", "Lyon"]} | changes
    return {key: value for key, value in merged.items() if value is not ...}


def record(identity="q1", answers=("Paris", "Lyon"), **keys) -> AnswerSet:
    return AnswerSet(id=identity, answers=tuple(answers), **keys)


def write_rows(path: Path, rows) -> Path:
    """Rows as a user would write them: JSON Lines by hand, Parquet with ``meta`` as JSON text."""
    if path.name.endswith(".parquet"):
        keys = {key: None for row in rows for key in row}
        full = [keys | row | {"meta": json.dumps(row.get("meta", {}))} for row in rows]
        pq.write_table(pa.Table.from_pylist(full), path)
        return path
    return write_lines(path, *(json.dumps(row) for row in rows))


def write_lines(path: Path, *lines: str | bytes) -> Path:
    content = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)
    return path


def hidden(layer=1, dim=2, token="last", source="tiny", num_layers=4, **keys) -> VectorSpec:
    return VectorSpec(kind="hidden", source=source, dim=dim, layer=layer, num_layers=num_layers, token=token, **keys)


def encoder(source="enc", dim=2, revision="r1") -> VectorSpec:
    return VectorSpec(kind="encoder", source=source, dim=dim, revision=revision)


def random_shard(counts, dim=2, seed=0) -> VectorShard:
    """Non-zero vectors of answer sets with the given numbers of answers."""
    rng = np.random.default_rng(seed)
    answers = rng.normal(size=(sum(counts), dim)).astype(np.float32)
    return VectorShard(answers, np.array(counts, np.int64), rng.normal(size=(len(counts), dim)).astype(np.float32))


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
json_values = st.recursive(
    scalars,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@st.composite
def records(draw: st.DrawFn) -> AnswerSet:
    """Any record that `parse_record` can return, with a dataset."""
    answers = tuple(draw(st.lists(st.text(), min_size=2, max_size=4)))
    numbers = st.floats(allow_nan=False, allow_infinity=False)
    texts = st.none() | st.text()
    return AnswerSet(
        id=draw(st.text(min_size=1)),
        answers=answers,
        question=draw(st.text()),
        context=draw(texts),
        greedy=draw(texts),
        gold=draw(st.none() | st.lists(st.text(), max_size=3).map(tuple)),
        label=draw(st.sampled_from([0, 1, None])),
        dataset=draw(st.text(min_size=1)),
        model=draw(st.text()),
        modality=draw(st.sampled_from(["text", "image"])),
        group=draw(texts),
        logprobs=draw(st.none() | st.tuples(*[numbers] * len(answers))),
        image=draw(texts),
        meta=draw(st.dictionaries(st.text(), json_values, max_size=3)),
    )


several_records = st.lists(records(), max_size=5, unique_by=lambda one: one.id)
