"""Scoring files and stores: in order, in bounded memory, whole or not at all."""

from __future__ import annotations

import gzip
import json
import warnings
from pathlib import Path

import pytest
import torch

from sgpu_lightning.answers.reader import Skipped
from sgpu_lightning.answers.row_files import MAX_LINE
from sgpu_lightning.cli.main import main
from sgpu_lightning.embedding.memory_cache import RememberingEncoder
from sgpu_lightning.predictor import PredictorError, UnlikeTrainingWarning
from sgpu_lightning.predictor.scoring import scoring_sources
from tests.embedding.helpers import CountingEncoder, vectors_of
from tests.toy import toy_rows, toy_store, write_toy_answers

FIELDS = ("p_correct", "latent_mean", "latent_variance", "data_entropy", "mutual_information")


@pytest.fixture
def predictor(black):
    return black.load(encoder=CountingEncoder("minilm", black.load().config.vectors[0].revision, 384))


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def scored(predictor, path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnlikeTrainingWarning)
        return list(predictor.score_file(path, **options))


def test_a_file_gives_what_score_gives_in_the_files_order(predictor, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring_sources, "CHUNK", 7)
    rows = toy_rows(40)
    found = scored(predictor, write(tmp_path / "a.jsonl", rows))
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    assert {row["dataset"] for row in found} == {"a"}
    expected = [predictor.score([row])[0] for row in rows]
    for name in FIELDS:
        assert [row[name] for row in found] == pytest.approx([getattr(one, name) for one in expected], abs=1e-12)


def test_a_stores_hidden_states_give_the_fitted_modules_prediction(white):
    found = scored(white.load(), white.answers)
    expected = white.module(white.data.batch(torch.arange(len(white.data.table.rows))))
    assert [row["id"] for row in found] == [row.id for row in white.data.table.rows]
    assert [row["p_correct"] for row in found] == pytest.approx(expected.p_correct.tolist(), abs=1e-10)


def test_the_fitting_layer_of_several_is_taken(white, tmp_path):
    toy_store(tmp_path / "store", dims=(16, 16, 16), count=30)
    assert len(scored(white.load(), tmp_path / "store")) == 30


@pytest.mark.parametrize(("token", "got"), [("mean", "layer 1 of 4, mean token"), (None, "no hidden states")])
def test_a_store_of_other_vectors_is_refused_naming_both(white, tmp_path, token, got):
    toy_store(tmp_path / "store", dims=(16,) if token else (), count=10, token=token or "last")
    with pytest.raises(PredictorError, match=f"fitted on .* layer 1 of 4, last token, the store holds .*{got}"):
        scored(white.load(), tmp_path / "store")


def test_a_white_box_predictor_cannot_score_a_file(white, tmp_path):
    with pytest.raises(PredictorError, match=r"takes hidden states .* which an answer file does not hold"):
        scored(white.load(), write_toy_answers(tmp_path / "a.jsonl", 3))


def test_ids_may_come_twice_since_remembering_them_all_takes_memory(predictor, tmp_path):
    assert len(scored(predictor, write(tmp_path / "a.jsonl", toy_rows(3) * 2))) == 6


BAD = {
    "N outside the range": (json.dumps(toy_rows(1)[0] | {"answers": ["a"] * 3}), "expected 10 answers"),
    "ten thousand answers": (json.dumps(toy_rows(1)[0] | {"answers": ["a"] * 10_000}), "got 10000"),
    "deeply nested": ('{"id": ' + "[" * 100_000, "JSON nested too deeply to read"),
    "not UTF-8": (b'{"id": "\xff\xfe"}', "expected UTF-8 text, got a byte that is not"),
    "a huge line": ('{"id": "' + "x" * (MAX_LINE + 10) + '"}', "expected a record of at most 16,777,216 bytes"),
    "a huge text": (json.dumps(toy_rows(1)[0] | {"greedy": "a " * 2_500_000}), "expected texts of at most 4,000,000"),
}


@pytest.mark.parametrize(("line", "message"), BAD.values(), ids=BAD)
def test_a_bad_record_stops_or_is_skipped(predictor, tmp_path, line, message):
    good = [json.dumps(row).encode() for row in toy_rows(4)]
    bad = line if isinstance(line, bytes) else line.encode()
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([*good[:2], bad, *good[2:]]))
    with pytest.raises(ValueError, match=rf"a\.jsonl:3: .*{message}"):
        scored(predictor, tmp_path / "a.jsonl")
    skipped = Skipped()
    rows = scored(predictor, tmp_path / "a.jsonl", on_error="skip", skipped=skipped)
    assert [row["id"] for row in rows] == ["q0", "q1", "q2", "q3"]
    assert skipped.count == 1


def test_a_hundred_megabytes_in_one_compressed_line_are_refused(predictor, tmp_path):
    with gzip.open(tmp_path / "a.jsonl.gz", "wb", compresslevel=1) as stream:
        stream.write(b'{"id": "')
        for _ in range(100):
            stream.write(b"x" * 2**20)
    with pytest.raises(ValueError, match=r"a\.jsonl\.gz:1: expected a record of at most 16,777,216 bytes"):
        scored(predictor, tmp_path / "a.jsonl.gz")


def test_an_encoder_that_gives_nan_is_refused_naming_the_set(black, tmp_path):
    encoder = CountingEncoder("minilm", black.load().config.vectors[0].revision, 384)
    encoder.encode = lambda texts: 0 * vectors_of(texts, 384) + float("nan")
    with pytest.raises(ValueError, match="answer set 'q0': expected finite, non-zero vectors, got NaN or infinity"):
        scored(black.load(encoder=encoder), write_toy_answers(tmp_path / "a.jsonl", 3))


class TestRememberingEncoder:
    def test_it_gives_what_the_encoder_gives(self):
        texts = ["a", "b", "a", "", "c", "b"]
        assert (RememberingEncoder(CountingEncoder()).encode(texts) == vectors_of(texts)).all()

    def test_it_forgets_what_was_used_longest_ago(self):
        encoder = CountingEncoder()
        remembering = RememberingEncoder(encoder, max_bytes=3 * (4 * 4 + 400))
        for texts in (["a", "b", "c"], ["a"], ["d"], ["a", "c", "d"], ["b"]):
            assert (remembering.encode(texts) == vectors_of(texts)).all()
        assert encoder.asked == [["a", "b", "c"], ["d"], ["b"]]

    def test_a_call_larger_than_it_is_answered_whole(self):
        remembering = RememberingEncoder(CountingEncoder(), max_bytes=1)
        texts = [f"t{i}" for i in range(20)]
        assert (remembering.encode(texts) == vectors_of(texts)).all()
        assert remembering.encode([]).shape == (0, 4)


class TestCommand:
    def test_export_then_score(self, black, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert main(["export", str(black.checkpoint), "--out", "out", "--license", "mit"]) == 0
        assert sorted(file.name for file in (tmp_path / "out").iterdir())[:2] == ["README.md", "calibration.svg"]
        answers = write_toy_answers(tmp_path / "new.jsonl", 12)
        assert main(["score", "out", str(answers), "--out", "scores.jsonl"]) == 0
        rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
        assert [row["id"] for row in rows] == [f"q{i}" for i in range(12)]
        assert all(0 < row["p_correct"] < 1 and row["unlike_training"] in (True, False) for row in rows)
        capsys.readouterr()
        assert main(["score", "out", str(answers)]) == 0
        assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == rows

    def test_predict_and_score_agree(self, white, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        answers = ["--data.answers", str(white.answers)]
        assert main(["predict", "--checkpoint", str(white.checkpoint), *answers, "--out", "p.jsonl"]) == 0
        assert main(["score", str(white.folder), str(white.answers), "--out", "s.jsonl"]) == 0
        predicted, found = (
            list(map(json.loads, Path(name).read_text().splitlines())) for name in ("p.jsonl", "s.jsonl")
        )
        assert [row["id"] for row in found] == [row["id"] for row in predicted]
        for name in FIELDS:
            assert [row[name] for row in found] == pytest.approx([row[name] for row in predicted], abs=1e-10)

    def test_an_export_over_a_predictor_needs_the_flag(self, white, changed, capsys):
        args = ["export", str(white.checkpoint), "--out", str(changed)]
        assert main(args) == 1
        assert "already holds a predictor: choose a new folder, or give --overwrite" in capsys.readouterr().err
        assert main([*args, "--overwrite", "true"]) == 0

    def test_a_pickle_for_a_checkpoint_is_one_message(self, tmp_path, capsys):
        (tmp_path / "x.ckpt").write_bytes(b"\x80\x04.")
        assert main(["export", str(tmp_path / "x.ckpt"), "--out", str(tmp_path / "out")]) == 1
        assert "x.ckpt: not a checkpoint written by 'sgpu fit'" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()

    def test_answers_that_moved_are_found_by_the_flag(self, white, tmp_path, capsys):
        moved = tmp_path / "moved"
        toy_store(moved)
        content = torch.load(white.checkpoint, weights_only=True)
        content["datamodule_hyper_parameters"]["answers"] = str(tmp_path / "gone")
        torch.save(content, tmp_path / "best.ckpt")
        args = ["export", str(tmp_path / "best.ckpt"), "--out", str(tmp_path / "out")]
        assert main(args) == 1
        assert "gone: no such answer file or store folder" in capsys.readouterr().err
        assert main([*args, "--answers", json.dumps([str(moved)])]) == 0

    def test_a_bad_record_leaves_no_file(self, black, tmp_path, capsys):
        answers = write(tmp_path / "a.jsonl", [*toy_rows(3), {"id": "x"}])
        assert main(["score", str(black.folder), str(answers), "--out", str(tmp_path / "scores.jsonl")]) == 1
        assert "a.jsonl:4: key 'answers' is missing" in capsys.readouterr().err
        assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl"]
        assert main(["score", str(black.folder), str(answers), "--out", str(tmp_path / "s"), "--on_error", "skip"]) == 0
        assert "left out 1 bad records" in capsys.readouterr().err

    def test_the_answers_are_not_overwritten(self, black, tmp_path, capsys):
        answers = write_toy_answers(tmp_path / "a.jsonl", 3)
        before = answers.read_text()
        assert main(["score", str(black.folder), str(answers), "--out", str(tmp_path / "." / "a.jsonl")]) == 1
        assert "expected a file other than the answers; choose another name" in capsys.readouterr().err
        assert answers.read_text() == before

    def test_unlike_sets_are_reported_once_with_their_proportion(self, black, tmp_path, capsys):
        odd = [{"id": f"q{i}", "answers": [f"{i} {j} " * 60 for j in range(10)], "question": "?"} for i in range(20)]
        assert main(["score", str(black.folder), str(write(tmp_path / "a.jsonl", odd))]) == 0
        error = capsys.readouterr().err
        assert error.count("warning: ") == 1
        assert "20 of 20 answer sets (100%) look unlike those the predictor was fitted on" in error

    def test_a_folder_that_is_no_predictor(self, tmp_path, capsys):
        answers = write_toy_answers(tmp_path / "a.jsonl", 3)
        assert main(["score", str(tmp_path), str(answers)]) == 1
        assert "no config.json in this folder; expected a folder written by 'sgpu export'" in capsys.readouterr().err
