"""Writing outcomes to the store: order, failures, and errors on the way."""

from __future__ import annotations

import errno
import json
import re

import pyarrow.parquet as pq
import pytest

from sgpu_lightning.answers.storage.store import AnswerStore, StoreError
from sgpu_lightning.errors import SamplingError
from sgpu_lightning.sampling import store_writer
from sgpu_lightning.sampling.run import failure_summary, failures_among, sample_to_store
from sgpu_lightning.tasks.question import Question
from tests.sampling.stores import Oracle, assert_same_content

QUESTIONS = [Question(id=f"q{i}", question=f"What is {i}?", gold=(str(i),)) for i in range(25)]


def run(sampler, path, questions=QUESTIONS, **options):
    return sample_to_store(sampler, questions, path, task="t", progress=False, **options)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(store_writer, "SHARD_SIZE", 10)


def ids(store):
    return [[one.id for one in store.read(shard)] for shard in store.shards]


def test_shards_have_a_bounded_size_and_keep_the_order_of_the_questions(tmp_path):
    names = [one.id for one in QUESTIONS]
    assert ids(run(Oracle(), tmp_path)) == [names[:10], names[10:20], names[20:]]
    backwards = run(Oracle(order=lambda given: given[::-1]), tmp_path / "b")
    assert ids(backwards) == [names[15:], names[5:15], names[:5]]
    assert_same_content(backwards, AnswerStore.open(tmp_path))


def test_the_time_between_writes_is_bounded_too(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(store_writer.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(store_writer, "SHARD_SECONDS", 3.5)

    def tick(_):
        clock[0] += 1.0

    assert [len(shard) for shard in ids(run(Oracle(before=tick), tmp_path))] == [4] * 6 + [1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError("the model broke")])
def test_answers_from_before_a_run_stopped_are_kept(tmp_path, error):
    def stop(i):
        if i == 13:
            raise error

    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        run(Oracle(before=stop), tmp_path)
    assert len(AnswerStore.open(tmp_path).ids()) == 13
    again = Oracle()
    assert_same_content(run(again, tmp_path), run(Oracle(), tmp_path / "whole"))
    assert sum(again.asked.values()) == 12


class TestFailures:
    def test_a_failed_question_does_not_shift_answers_and_is_asked_again(self, tmp_path):
        refused = {"q0", "q7", "q24"}
        store = run(Oracle(refused), tmp_path / "s")
        assert store.failures() == {name: f"no answer to {name}" for name in refused}
        assert len(store.ids()) == 22
        again = Oracle({"q7"})
        assert run(again, tmp_path / "s").failures() == {"q7": "no answer to q7"}
        assert set(again.asked) == refused
        whole = run(Oracle(), tmp_path / "whole")
        assert_same_content(run(Oracle(), tmp_path / "s"), whole)
        assert AnswerStore.open(tmp_path / "s").failures() == {}
        assert not list((tmp_path / "s" / "failures").iterdir())

    def test_failures_are_lines_of_json_of_which_the_latest_counts(self, tmp_path):
        run(Oracle({"q1"}), tmp_path)
        (file,) = (tmp_path / "failures").iterdir()
        row = json.loads(file.read_text())
        assert (row["id"], row["reason"]) == ("q1", "no answer to q1")
        file.write_text(json.dumps(row | {"time": row["time"] + 9, "reason": "later"}) + "\n" + file.read_text())
        assert AnswerStore.open(tmp_path).failures() == {"q1": "later"}

    def test_raise_stops_at_the_first_failure_and_keeps_the_answers(self, tmp_path):
        with pytest.raises(SamplingError, match="no answer to q12; --on_error skip continues with the other questions"):
            run(Oracle({"q12", "q20"}), tmp_path, on_error="raise")
        store = AnswerStore.open(tmp_path)
        assert len(store.ids()) == 12
        assert list(store.failures()) == ["q12"]

    def test_a_run_stops_early_if_no_question_is_answered(self, tmp_path):
        many = [Question(id=f"{i}", question="?") for i in range(500)]
        oracle = Oracle({one.id for one in many})
        with pytest.raises(SamplingError, match="none of the first 100 questions got answers; the last: no answer to"):
            run(oracle, tmp_path, many)
        assert len(oracle.asked) == 100

    def test_a_hundred_failures_between_answers_do_not_stop_the_run(self, tmp_path):
        many = [Question(id=f"{i}", question="?") for i in range(300)]
        assert run(Oracle({f"{i}" for i in range(1, 250)}), tmp_path, many).ids() >= {"0", "299"}

    def test_a_question_the_sampler_forgot_is_a_failure(self, tmp_path):
        store = run(Oracle(order=lambda given: given[:-1]), tmp_path)
        assert store.failures() == {"q24": "question 'q24': the sampler gave neither answers nor a reason"}

    @pytest.mark.parametrize(
        ("order", "got"),
        [
            (lambda given: [given[0], given[0]], "a second one"),
            (lambda _: [Question(id="other", question="?")], "one that was not asked"),
        ],
    )
    def test_a_sampler_that_mixes_up_questions_is_refused(self, tmp_path, order, got):
        with pytest.raises(SamplingError, match=f"expected one outcome for each question asked, got {got} from Oracle"):
            run(Oracle(order=order), tmp_path)

    def test_the_summary_counts_and_lists_the_first(self, tmp_path):
        store = run(Oracle({f"q{i}" for i in range(7)}), tmp_path)
        failures = failures_among(store, QUESTIONS[1:])
        assert list(failures) == [f"q{i}" for i in range(1, 7)]
        lines = failure_summary(failures, 24, tmp_path).splitlines()
        assert lines[0].startswith(f"6 of 24 questions got no answers; all the others are in {tmp_path}. Run again to")
        assert lines[1:] == [f"  q{i}: no answer to q{i}" for i in range(1, 6)] + ["  ... and 1 more"]


@pytest.mark.parametrize("at", range(5))
def test_a_full_disk_stops_the_run_and_a_later_run_continues(tmp_path, monkeypatch, at):
    """The system's error is simulated at each of the files; tests/answers/test_store_faults.py has real ones."""
    whole = run(Oracle(), tmp_path / "whole")
    write, calls = pq.write_table, iter(range(99))

    def full(table, path, **options):
        write(table, path, **options)
        if next(calls) >= at:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        with pytest.raises(
            StoreError, match=r"\.parquet: cannot be written \(No space left on device\); what the store "
        ):
            run(Oracle(), tmp_path / "s")
    assert len(AnswerStore.open(tmp_path / "s").ids()) == at // 2 * 10
    assert_same_content(run(Oracle(), tmp_path / "s"), whole)
    assert not list((tmp_path / "s").rglob("*.partial"))


class TestProgress:
    def shown(self, capsys, path, **options):
        sample_to_store(Oracle({"q3"}), QUESTIONS, path, **options)
        return " ".join(capsys.readouterr().out.split())

    def test_the_bar_shows_progress_failures_and_speed(self, tmp_path, capsys):
        assert re.search(
            r"sample oracle .* 25/25 [\d.]+ answers/s, 1 failed \d:\d\d:\d\d", self.shown(capsys, tmp_path)
        )

    def test_only_the_main_process_shows_a_bar(self, tmp_path, capsys, monkeypatch):
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("RANK", "1")
        assert self.shown(capsys, tmp_path) == ""
        monkeypatch.setenv("RANK", "0")
        assert "sample oracle (process 1 of 2)" in self.shown(capsys, tmp_path)

    def test_the_bar_can_be_switched_off(self, tmp_path, capsys):
        assert self.shown(capsys, tmp_path, progress=False) == ""
