"""`sgpu import` and `sgpu embed`: answers into a store, and vectors beside them."""

from __future__ import annotations

import json
from pathlib import Path

from sgpu_lightning import AnswerStore
from sgpu_lightning.cli.main import main
from tests.cli.calls import fit
from tests.toy import toy_rows, write_toy_answers


class TestImportAndEmbed:
    def test_import_then_embed_then_fit(self, toy_answers, capsys):
        assert main(["import", str(toy_answers), "--out", "store"]) == 0
        assert "240 answer sets written to store" in capsys.readouterr().out
        assert main(["embed", "store"]) == 0
        (spec,) = AnswerStore.open("store").vector_specs.values()
        assert (spec.kind, spec.source, spec.dim) == ("encoder", "minilm", 384)
        fit("--data.answers", "store")

    def test_importing_again_adds_nothing(self, toy_answers, capsys):
        for _ in range(2):
            assert main(["import", str(toy_answers), "--out", "store"]) == 0
        assert "0 answer sets written to store, 240 were already there" in capsys.readouterr().out

    def test_a_record_that_changed_under_its_id_is_refused(self, tmp_path, capsys):
        path = write_toy_answers(tmp_path / "a.jsonl", 5)
        assert main(["import", str(path), "--out", "store"]) == 0
        write_toy_answers(path, 5, greedy="something else")
        assert main(["import", str(path), "--out", "store"]) == 1
        assert "answer set 'q0' is in the store with different content" in capsys.readouterr().err

    def test_a_file_without_records_makes_no_store(self, capsys):
        Path("empty.jsonl").write_text("\n")
        assert main(["import", "empty.jsonl", "--out", "store"]) == 1
        assert "empty.jsonl: expected answer sets, got none" in capsys.readouterr().err
        assert not Path("store").exists()

    def test_skipped_records_are_counted_and_listed(self, capsys):
        Path("bad.jsonl").write_text("\n".join([json.dumps(row) for row in toy_rows(3)] + ["{"]))
        assert main(["import", "bad.jsonl", "--out", "store", "--on_error", "skip"]) == 0
        out = capsys.readouterr().out
        assert "left out 1 bad records" in out
        assert "3 answer sets written" in out

    def test_a_bad_record_names_file_and_line(self, capsys):
        Path("bad.jsonl").write_text("\n".join([json.dumps(row) for row in toy_rows(3)] + ["{"]))
        assert main(["import", "bad.jsonl", "--out", "store"]) == 1
        assert "bad.jsonl:4: broken JSON" in capsys.readouterr().err
        assert not Path("store").exists()
