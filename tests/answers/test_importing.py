from __future__ import annotations

import pytest

from sgpu_lightning.answers.reader import Skipped
from sgpu_lightning.answers.record import RecordError
from sgpu_lightning.answers.storage import importing
from sgpu_lightning.answers.storage.importing import import_file
from sgpu_lightning.answers.storage.store import AnswerStore, StoreError
from tests.answers.helpers import SUFFIXES, row, write_rows


@pytest.fixture
def out(tmp_path):
    return tmp_path / "store"


def answers(folder, *ids, suffix=".jsonl", bad=()):
    return write_rows(folder / f"a{suffix}", [row(id=i, answers=["x"] if i in bad else ["x", "y"]) for i in ids])


def ids(out):
    return [one.id for one in AnswerStore.open(out).records()]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_records_of_a_file_are_in_the_store(tmp_path, out, suffix):
    assert import_file(answers(tmp_path, "a", "b", "c", suffix=suffix), out) == (3, 0)
    assert ids(out) == ["a", "b", "c"]
    assert AnswerStore.open(out).source == {"kind": "import", "file": f"a{suffix}"}
    assert {one.dataset for one in AnswerStore.open(out).records()} == {"a"}


def test_shards_are_of_bounded_size(tmp_path, out, monkeypatch):
    monkeypatch.setattr(importing, "SHARD_SIZE", 2)
    assert import_file(answers(tmp_path, *"abcde"), out) == (5, 0)
    assert [len(AnswerStore.open(out).read(shard)) for shard in AnswerStore.open(out).shards] == [2, 2, 1]
    assert ids(out) == list("abcde")


def test_importing_again_adds_only_new_ids(tmp_path, out):
    import_file(answers(tmp_path, "a", "b"), out)
    assert import_file(answers(tmp_path, "a", "b"), out) == (0, 2)
    assert len(AnswerStore.open(out).shards) == 1
    assert import_file(answers(tmp_path, "c", "a", "d", "b"), out) == (2, 2)
    assert ids(out) == ["a", "b", "c", "d"]


def test_an_interrupted_import_goes_on(tmp_path, out, monkeypatch):
    monkeypatch.setattr(importing, "SHARD_SIZE", 2)
    append = AnswerStore.append

    def interrupted(store, records):
        if records[0].id == "c":
            raise KeyboardInterrupt
        append(store, records)

    with monkeypatch.context() as patch:
        patch.setattr(AnswerStore, "append", interrupted)
        with pytest.raises(KeyboardInterrupt):
            import_file(answers(tmp_path, *"abcde"), out)
    assert ids(out) == ["a", "b"]
    assert import_file(answers(tmp_path, *"abcde"), out) == (3, 2)
    assert ids(out) == list("abcde")


def test_nothing_is_written_if_any_line_is_bad(tmp_path, out, monkeypatch):
    monkeypatch.setattr(importing, "SHARD_SIZE", 1)
    with pytest.raises(RecordError, match=r"a\.jsonl:3: key 'answers': expected at least 2 answers, got 1"):
        import_file(answers(tmp_path, "a", "b", "c", bad="c"), out)
    assert not out.exists()


def test_nothing_is_added_if_any_line_is_bad(tmp_path, out):
    import_file(answers(tmp_path, "a"), out)
    with pytest.raises(RecordError, match=r"a\.jsonl:3: key 'answers'"):
        import_file(answers(tmp_path, "a", "b", "c", bad="c"), out)
    assert ids(out) == ["a"]


def test_bad_lines_may_be_skipped_and_are_listed_once(tmp_path, out):
    skipped = Skipped()
    path = answers(tmp_path, "a", "b", "c", bad="b")
    assert import_file(path, out, on_error="skip", skipped=skipped) == (2, 0)
    assert ids(out) == ["a", "c"]
    assert skipped.messages == [
        f"{path}:2: key 'answers': expected at least 2 answers, got 1; disagreement needs more than one sample"
    ]


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_missing_file_leaves_no_store_behind(tmp_path, out, on_error):
    with pytest.raises(FileNotFoundError, match=r"none\.jsonl: no such file"):
        import_file(tmp_path / "none.jsonl", out, on_error=on_error)
    assert not out.exists()


def test_another_file_is_not_mixed_in(tmp_path, out):
    import_file(answers(tmp_path, "a"), out)
    with pytest.raises(StoreError, match=r"file: the store has 'a\.jsonl', now asked 'a\.jsonl\.gz'"):
        import_file(answers(tmp_path, "b", suffix=".jsonl.gz"), out)
