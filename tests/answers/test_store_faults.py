"""Full disks and folders without write permission, with errors raised by the system itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sgpu_lightning.answers.storage.store import AnswerStore
from tests.answers.helpers import hidden, random_shard, record

# Executes its argument in the current folder and prints the outcome.
WRITER = """
import os, resource, sys
import filelock, numpy, pyarrow.parquet
from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.storage.store import AnswerStore, StoreError
from sgpu_lightning.answers.storage.vectors import VectorShard

def append():
    rng = numpy.random.default_rng(0)
    answers = tuple(rng.bytes(40_000).hex() for _ in range(2))
    vectors = rng.normal(size=(2, 2)).astype("float32")
    shard = VectorShard(vectors, numpy.array([2]), vectors[:1])
    AnswerStore.open("store").append([AnswerSet(id="new", answers=answers)], {"layer1-last": shard})

exec(sys.argv[1])
try:
    exec(sys.argv[2])
    print("fine")
except StoreError as error:
    print(f"refused: {error}")
"""
NO_LARGE_FILES = "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))"
# Root may write anywhere, the user nobody may not. The folder is entered before the change of user, because nobody may
# have no access to its parent folders.
AS_NOBODY = "os.getuid() or (os.setgid(65534), os.setuid(65534))"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits and permissions")


@pytest.fixture
def store(tmp_path):
    made = AnswerStore.create(tmp_path / "store", {"kind": "sample"})
    made.add_vector_set(hidden(layer=1))
    made.append([record("old")], {"layer1-last": random_shard([2])})
    return made


def attempt(folder: Path, before: str, what: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WRITER, before, what], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def files(store):
    return sorted(str(file) for file in store.path.rglob("*") if file.is_file() and file.name != ".lock")


def assert_intact_and_resumable(store, before):
    assert files(store) == before
    assert [one.id for one in AnswerStore.open(store.path).records()] == ["old"]
    assert attempt(store.path.parent, "", "append()") == "fine"
    again = AnswerStore.open(store.path)
    assert again.ids() == {"old", "new"}
    assert all(again.has_vectors("layer1-last", shard) for shard in again.shards)


def test_a_file_that_may_not_grow_is_a_clear_error_and_the_store_intact(store):
    before = files(store)
    said = attempt(store.path.parent, NO_LARGE_FILES, "append()")
    assert said.startswith("refused: store/answers/00001-0-")
    assert "cannot be written (" in said
    assert "File too large" in said
    assert said.endswith(
        "the data already in the store is intact: free disk space or grant write permission, then run again to continue"
    )
    assert_intact_and_resumable(store, before)


def test_a_full_disk_is_a_clear_error_and_the_store_intact(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("may not mount a file system")
    try:
        store = AnswerStore.create(disk / "store", {"kind": "sample"})
        store.add_vector_set(hidden(layer=1))
        store.append([record("old")], {"layer1-last": random_shard([2])})
        before = files(store)
        said = attempt(disk, "", "append()")
        assert said.startswith("refused: store/answers/00001-0-")
        assert "No space left on device" in said
        subprocess.run(["mount", "-o", "remount,size=2m", str(disk)], check=True)
        assert_intact_and_resumable(store, before)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("append()", "store"),
        ("AnswerStore.open('store').locked().__enter__()", "store"),
        ("AnswerStore.create('other', {})", "other"),
    ],
)
def test_a_store_that_may_only_be_read_is_a_clear_error(store, what, named):
    folder = store.path.parent
    before = files(store)
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        said = attempt(folder, AS_NOBODY, what)
        assert said.startswith(f"refused: {named}: cannot be written (Permission denied)")
        read = "assert [one.id for one in AnswerStore.open('store').records()] == ['old']"
        assert attempt(folder, AS_NOBODY, read) == "fine"
        same = "assert AnswerStore.create('store', {'kind': 'sample'}).ids() == {'old'}"
        assert attempt(folder, AS_NOBODY, same) == "fine"
    finally:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert_intact_and_resumable(store, before)


def test_a_file_system_mounted_read_only_is_a_clear_error(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("may not mount a file system")
    try:
        store = AnswerStore.create(disk / "store", {"kind": "sample"})
        store.add_vector_set(hidden(layer=1))
        store.append([record("old")], {"layer1-last": random_shard([2])})
        before = files(store)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert attempt(disk, "", "append()").startswith("refused: store: cannot be written (Read-only file system)")
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        assert_intact_and_resumable(store, before)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
