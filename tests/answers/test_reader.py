from __future__ import annotations

import datetime
import gzip
import json
import random
import re
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from sgpu_lightning.answers.reader import Skipped, read_answers
from sgpu_lightning.answers.record import RecordError
from sgpu_lightning.answers.row_files import is_row_file
from tests.answers.helpers import SUFFIXES, row, several_records, write_lines, write_rows

LINES = [json.dumps(row(id=f"q{i}")) for i in range(4)]
every_suffix = pytest.mark.parametrize("suffix", SUFFIXES)
every_text_suffix = pytest.mark.parametrize("suffix", SUFFIXES[:2])


def ids(path, **keys):
    return [one.id for one in read_answers(path, **keys)]


def skipped_of(messages) -> Skipped:
    skipped = Skipped()
    for message in messages:
        skipped.add(message)
    return skipped


def place(path, where):
    return "^" + re.escape(f"{path}:{where}")


@given(several_records)
@settings(max_examples=40, deadline=None)
@every_suffix
def test_any_records_survive_a_file(suffix, several):
    with tempfile.TemporaryDirectory() as folder:
        path = write_rows(Path(folder, f"answers{suffix}"), [one.to_dict() for one in several])
        assert list(read_answers(path)) == several


@every_suffix
def test_dataset_is_the_file_name_unless_given(tmp_path, suffix):
    rows = [row(id="a"), row(id="b", dataset="trivia"), row(id="c", dataset="")]
    path = write_rows(tmp_path / f"nq.dev{suffix}", rows)
    assert [one.dataset for one in read_answers(path)] == ["nq", "trivia", "nq"]


def test_path_may_be_a_string(tmp_path):
    assert ids(str(write_lines(tmp_path / "a.jsonl", LINES[0]))) == ["q0"]


@every_text_suffix
def test_blank_lines_and_a_missing_last_newline_are_no_matter(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    content = f"\n{LINES[0]}\r\n  \n{LINES[1]}".encode()
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    assert ids(path) == ["q0", "q1"]


def test_byte_order_mark_is_no_matter(tmp_path):
    assert ids(write_lines(tmp_path / "a.jsonl", LINES[0].encode("utf-8-sig"))) == ["q0"]


@every_suffix
def test_empty_file_has_no_records(tmp_path, suffix):
    assert ids(write_rows(tmp_path / f"a{suffix}", [])) == []


BAD_LINES = {
    "broken JSON": (
        '{"id": "x", "answers": [',
        "broken JSON at column 25: Expecting value; expected one object on",
    ),
    "two objects": (f"{LINES[0]}{LINES[1]}", f"broken JSON at column {len(LINES[0]) + 1}: Extra data"),
    "a string cut off": ('{"id": "x', "broken JSON at column 8: Unterminated string"),
    "Python for JSON": ("{'id': 'x'}", "broken JSON at column 2: Expecting property name enclosed in double quotes"),
    "not UTF-8": (b'{"id": "caf\xe9"}', "expected UTF-8 text, got a byte that is not"),
    "UTF-16": (LINES[0].encode("utf-16"), "expected UTF-8 text, got a byte that is not"),
    "deep nesting": ("[" * 100_000, "JSON nested too deeply to read"),
    "endless number": ('{"n": ' + "1" * 5000 + "}", "broken JSON: Exceeds the limit"),
    "no object": ("[1]", r"expected a JSON object, got list \[1\]"),
    "bad record": ('{"id": "x"}', "key 'answers' is missing"),
    "half a character": ('{"id": "\\ud83d", "answers": ["a", "b"]}', "key 'id': expected Unicode text"),
    "an id again": (LINES[1], r"duplicate id 'q1', first seen at .*:2; ids must be unique"),
}
every_bad_line = pytest.mark.parametrize(("bad", "message"), BAD_LINES.values(), ids=BAD_LINES)


@every_text_suffix
@every_bad_line
def test_bad_line_raises_naming_file_and_line(tmp_path, suffix, bad, message):
    path = write_lines(tmp_path / f"a{suffix}", LINES[0], LINES[1], "", bad, LINES[2])
    with pytest.raises(RecordError, match=place(path, 4) + f": {message}"):
        ids(path)


@every_text_suffix
@every_bad_line
def test_bad_line_may_be_skipped_and_listed(tmp_path, suffix, bad, message):
    skipped = Skipped()
    path = write_lines(tmp_path / f"a{suffix}", LINES[0], LINES[1], "", bad, *LINES[2:])
    assert ids(path, on_error="skip", skipped=skipped) == ["q0", "q1", "q2", "q3"]
    assert len(skipped.messages) == 1
    assert re.match(place(path, 4) + f": {message}", skipped.messages[0])


def test_records_before_a_bad_line_are_given(tmp_path):
    reading = read_answers(write_lines(tmp_path / "a.jsonl", LINES[0], "{"))
    assert next(reading).id == "q0"
    with pytest.raises(RecordError, match=r"a\.jsonl:2: broken JSON at column 2"):
        next(reading)


def test_skipped_id_may_come_again(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", '{"id": "q0"}', LINES[0])
    assert ids(path, on_error="skip") == ["q0"]


def test_summary_counts_all_and_shows_the_first():
    summary = skipped_of(f"a.jsonl:{i}: bad" for i in range(7)).summary(most=2)
    assert summary == "left out 7 bad records:\n  a.jsonl:0: bad\n  a.jsonl:1: bad\n  ... and 5 more"
    assert skipped_of(["a.jsonl:0: bad"]).summary() == "left out 1 bad records:\n  a.jsonl:0: bad"


def test_parquet_names_the_row(tmp_path):
    path = write_rows(tmp_path / "a.parquet", [row(id="a"), row(id="b", answers=["x"]), row(id="c"), row(id="a")])
    with pytest.raises(RecordError, match=place(path, "row 2: key 'answers': expected at least 2 answers, got 1")):
        ids(path)
    skipped = Skipped()
    assert ids(path, on_error="skip", skipped=skipped) == ["a", "c"]
    assert [message.split(": ")[0] for message in skipped.messages] == [f"{path}:row 2", f"{path}:row 4"]


def test_parquet_meta_must_be_an_object(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["a", "b"], "answers": [["x", "y"]] * 2, "meta": ["{", '{"k": 1}']}), path)
    with pytest.raises(RecordError, match=place(path, "row 1: key 'meta': expected an object, or one as JSON text")):
        ids(path)
    assert ids(path, on_error="skip") == ["b"]


def test_parquet_columns_that_json_cannot_hold_become_text(tmp_path):
    path = tmp_path / "a.parquet"
    table = {"id": ["a"], "answers": [["x", "y"]], "asked": [datetime.date(2024, 2, 29)], "raw": [b"\xff"], "n": [3]}
    pq.write_table(pa.table(table), path)
    (one,) = read_answers(path)
    assert one.meta == {"asked": "2024-02-29", "raw": r"b'\xff'", "n": 3}


@pytest.mark.parametrize("cut", [0.2, 0.6, 0.95])
def test_truncated_gzip_says_how_many_lines_were_readable(tmp_path, cut):
    # Random text, so that the compressed bytes run along with the lines.
    draw = random.Random(0)
    lines = [json.dumps(row(id=f"q{i}", question=draw.randbytes(100).hex())) for i in range(400)]
    path = write_lines(tmp_path / "a.jsonl.gz", *lines)
    path.write_bytes(path.read_bytes()[: int(cut * path.stat().st_size)])
    given = []
    with pytest.raises(RecordError, match=r"\.gz:\d+: the compressed file is truncated") as caught:
        given.extend(one.id for one in read_answers(path))
    assert 0 < len(given) < 400
    assert given == [f"q{i}" for i in range(len(given))]
    assert f"{path}:{len(given) + 1}:" in str(caught.value)
    assert f"; {len(given)} lines were readable; write or copy the file again" in str(caught.value)


def test_truncated_gzip_raises_even_where_bad_records_are_skipped(tmp_path):
    path = write_lines(tmp_path / "a.jsonl.gz", *LINES)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(RecordError, match="truncated or damaged"):
        ids(path, on_error="skip")


@pytest.mark.parametrize(
    ("at", "message"),
    [(slice(-8, -4), "CRC check failed"), (slice(10, 30), "Error -3 while decompressing data")],
    ids=["check sum", "data"],
)
def test_damaged_gzip_is_noticed(tmp_path, at, message):
    path = write_lines(tmp_path / "a.jsonl.gz", *LINES)
    content = bytearray(path.read_bytes())
    content[at] = bytes(255 - byte for byte in content[at])
    path.write_bytes(content)
    with pytest.raises(RecordError, match=rf"the compressed file is truncated or damaged \({message}"):
        ids(path)


def test_gz_that_is_no_gzip(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_text(LINES[0])
    with pytest.raises(RecordError, match=place(path, 1) + r": .*truncated or damaged \(Not a gzipped file"):
        ids(path)


@pytest.mark.parametrize("content", [b"", b"no Parquet", b"PAR1" + b"\0" * 50 + b"PAR1"], ids=["empty", "text", "torn"])
def test_parquet_that_is_none(tmp_path, content):
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=f"^{re.escape(str(path))}: not a readable Parquet file"):
        ids(path)


@pytest.mark.parametrize("part", range(8))
def test_damaged_parquet_is_a_record_error_or_harmless(tmp_path, part):
    path = write_rows(tmp_path / "a.parquet", [row(id=f"q{i}") for i in range(50)])
    content = bytearray(path.read_bytes())
    at = part * len(content) // 8
    content[at : at + 8] = bytes(255 - byte for byte in content[at : at + 8])
    path.write_bytes(content)
    try:
        ids(path)
    except RecordError as error:
        assert str(error).startswith(str(path))  # noqa: PT017 - not every byte matters


@every_suffix
def test_missing_file_says_what_is_expected(tmp_path, suffix):
    with pytest.raises(FileNotFoundError, match=r"no such file; expected an answer file \(\.jsonl, .*\) or a store"):
        ids(tmp_path / f"none{suffix}")


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.gz", "jsonl"])
def test_unknown_suffix_lists_the_known(tmp_path, name):
    path = write_lines(tmp_path / name, *LINES)
    assert not is_row_file(path)
    with pytest.raises(ValueError, match=r"unknown kind of file, expected one of \.jsonl, \.jsonl\.gz, \.parquet"):
        ids(path)


def test_reading_twice_gives_the_same(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", [row(id="a"), row(id="b")])
    first = list(read_answers(path))
    assert first == list(read_answers(path))
