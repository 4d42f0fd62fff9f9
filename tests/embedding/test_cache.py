from __future__ import annotations

import multiprocessing
import sqlite3
import tempfile
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpu_lightning.embedding import embedding_cache as cache
from sgpu_lightning.embedding.embedding_cache import CachedEncoder, default_cache_dir
from tests.embedding.helpers import CountingEncoder, vector_of, vectors_of


def cached(folder, **keys):
    """A cached encoder, and the counting encoder that it calls."""
    behind = CountingEncoder(**keys)
    return CachedEncoder(behind, folder), behind


def test_it_is_the_encoder_behind_by_name_revision_and_dimension(tmp_path):
    front, behind = cached(tmp_path, name="enc", revision="r7", dim=3)
    assert (front.name, front.revision, front.dim) == (behind.name, behind.revision, behind.dim)


def test_vectors_come_in_the_order_of_the_texts(tmp_path):
    front, _ = cached(tmp_path)
    texts = ["c", "a", "b", "a", "c"]
    for _ in range(2):  # the second time from the disk
        vectors = front.encode(texts)
        assert vectors.dtype == np.float32
        assert np.array_equal(vectors, vectors_of(texts))


def test_each_distinct_text_is_encoded_once(tmp_path):
    front, behind = cached(tmp_path)
    front.encode(["a", "b", "a"])
    front.encode(["b", "c", "c", "a"])
    assert behind.asked == [["a", "b"], ["c"]]


def test_a_new_encoder_of_the_same_revision_encodes_nothing_again(tmp_path):
    cached(tmp_path)[0].encode(["a", "b"])
    front, behind = cached(tmp_path)
    assert np.array_equal(front.encode(["b", "a"]), vectors_of(["b", "a"]))
    assert behind.asked == []


@pytest.mark.parametrize("other", [{"revision": "r2"}, {"name": "other"}], ids=["revision", "name"])
def test_another_encoder_shares_nothing(tmp_path, other):
    cached(tmp_path)[0].encode(["a"])
    front, behind = cached(tmp_path, dim=3, **other)
    assert front.encode(["a"]).shape == (1, 3)
    assert behind.asked == [["a"]]


def test_equal_texts_get_the_very_same_vector_even_of_an_encoder_that_varies(tmp_path):
    front, behind = cached(tmp_path)
    behind.encode = lambda texts: np.random.default_rng().normal(size=(len(texts), 4)).astype(np.float32)
    first = front.encode(["a", "b", "a"])
    assert first[0].tobytes() == first[2].tobytes()
    assert front.encode(["b", "a"]).tobytes() == first[1:].tobytes()


def test_texts_that_differ_only_in_what_the_eye_misses_are_told_apart(tmp_path):
    texts = ["a", "a ", "A", "\u0430", "a\u0301", "\u00e1", "", "\0", "\ud800"]
    front, behind = cached(tmp_path)
    front.encode(texts)
    assert behind.texts == texts
    assert np.array_equal(front.encode(texts[::-1]), vectors_of(texts[::-1]))


def test_no_texts_give_no_vectors(tmp_path):
    front, behind = cached(tmp_path, dim=3)
    assert front.encode([]).shape == (0, 3)
    assert behind.asked == []


def test_vectors_may_be_written_to_without_harm(tmp_path):
    front, _ = cached(tmp_path)
    front.encode(["a"])
    front.encode(["a"])[:] = 0
    assert np.array_equal(front.encode(["a"]), vectors_of(["a"]))


def test_vectors_of_another_precision_are_kept_as_float32(tmp_path):
    front, behind = cached(tmp_path)
    behind.encode = lambda texts: vectors_of(texts).astype(np.float64)
    for _ in range(2):
        assert front.encode(["a", "b"]).tobytes() == vectors_of(["a", "b"]).tobytes()


def test_more_texts_than_one_query_or_one_commit_takes(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_LOOKUP", 7)
    monkeypatch.setattr(cache, "_ENCODE", 10)
    texts = [str(i) for i in range(45)]
    front, behind = cached(tmp_path)
    front.encode(texts[::3])
    assert np.array_equal(front.encode(texts), vectors_of(texts))
    assert sorted(behind.texts) == sorted(texts)
    assert max(map(len, behind.asked)) == 10


odd = st.characters(categories=["Cs", "Cc", "Mn", "Co"])  # surrogates, control characters, accents, private use
texts_of_any_kind = st.text(max_size=4) | st.text(odd, max_size=4) | st.sampled_from(["a", "b", "", "\ud800"])


@given(st.lists(st.lists(texts_of_any_kind, max_size=6), max_size=3))
@settings(max_examples=40, deadline=None)
def test_any_texts_get_their_vectors_and_each_is_encoded_once(calls):
    with tempfile.TemporaryDirectory() as folder:
        asked = []
        for texts in calls:
            front, behind = cached(Path(folder))
            vectors = front.encode(texts)
            assert vectors.shape == (len(texts), 4)
            assert all(np.array_equal(vector, vector_of(text)) for text, vector in zip(texts, vectors, strict=True))
            asked += behind.texts
        assert len(asked) == len(set(asked))
        assert set(asked) == {text for texts in calls for text in texts}


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_run_keeps_what_it_finished(tmp_path, monkeypatch, failure):
    monkeypatch.setattr(cache, "_ENCODE", 2)
    front, behind = cached(tmp_path)
    encode = behind.encode

    def interrupted(texts):
        if "e" in texts:
            raise failure
        return encode(texts)

    behind.encode = interrupted
    with pytest.raises(failure):
        front.encode(list("abcdef"))
    front, behind = cached(tmp_path)
    assert np.array_equal(front.encode(list("abcdef")), vectors_of("abcdef"))
    assert behind.asked == [["e", "f"]]


def test_a_vector_that_is_not_finite_is_not_remembered(tmp_path):
    front, behind = cached(tmp_path)
    encode = behind.encode
    behind.encode = lambda texts: np.stack([[np.nan] * 4, *vectors_of(texts[1:])]).astype(np.float32)
    assert np.isnan(front.encode(["a", "b"])[0]).all()
    behind.encode = encode
    assert np.array_equal(front.encode(["a", "b"]), vectors_of(["a", "b"]))
    assert behind.asked == [["a"]]


def test_as_many_vectors_as_texts_are_required(tmp_path):
    front, behind = cached(tmp_path)
    behind.encode = lambda texts: vectors_of(texts)[1:]
    with pytest.raises(ValueError, match="shorter"):
        front.encode(["a", "b"])


def test_another_process_that_is_writing_is_waited_for(tmp_path):
    path = cached(tmp_path)[0].path
    path.unlink()
    with closing(sqlite3.connect(path, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        release = threading.Timer(0.3, other.commit)
        release.start()
        front, _ = cached(tmp_path)  # a new file
        release.join()
        assert np.array_equal(front.encode(["a"]), vectors_of(["a"]))
        other.execute("BEGIN EXCLUSIVE")
        release = threading.Timer(0.3, other.commit)
        release.start()
        assert np.array_equal(front.encode(["a", "b"]), vectors_of(["a", "b"]))
        release.join()


def fill(folder, barrier, failures, texts):
    """What each of several processes does, many times over: all open one new file at once."""
    try:
        for k in range(30):
            barrier.wait(timeout=30)
            encoder = CachedEncoder(CountingEncoder(), Path(folder, str(k)))
            for part in (texts[:30], texts[20:]):
                assert np.array_equal(encoder.encode(part), vectors_of(part))
    except BaseException as error:
        failures.put(repr(error))
        barrier.abort()
        raise


def test_several_processes_may_write_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, failures = context.Barrier(2), context.Queue()
    texts = [str(i) for i in range(50)]
    parts = texts, texts[::-1]
    processes = [context.Process(target=fill, args=(str(tmp_path), barrier, failures, part)) for part in parts]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    assert failures.empty(), failures.get()
    assert [process.exitcode for process in processes] == [0, 0]
    front, behind = cached(tmp_path / "0")
    assert np.array_equal(front.encode(texts), vectors_of(texts))
    assert behind.asked == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SGPU_CACHE": "mine", "XDG_CACHE_HOME": "xdg"}, "mine"),
        ({"XDG_CACHE_HOME": "xdg"}, "xdg/sgpu_lightning"),
        ({"HOME": "home"}, "home/.cache/sgpu_lightning"),
        ({"HOME": "home", "SGPU_CACHE": "", "XDG_CACHE_HOME": ""}, "home/.cache/sgpu_lightning"),
    ],
)
def test_default_folder(tmp_path, monkeypatch, variables, expected):
    for name in ("SGPU_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value) if value else "")
    assert default_cache_dir() == tmp_path / expected
    assert CachedEncoder(CountingEncoder()).path.parent == tmp_path / expected / "embeddings"
