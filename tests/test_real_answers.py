"""Fitting on answers of real models; skipped where ../shared/answers is absent."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import pytest
import torch

from sgpu_lightning import AnswerDataModule, SGPUModule, fit, read_answers
from sgpu_lightning.answers.texts import AnswerTexts
from sgpu_lightning.metrics.functional import auroc

pytestmark = pytest.mark.data


def first(source: Path, count: int, target: Path) -> str:
    with gzip.open(source, "rt") as stream:
        target.write_text("".join(itertools.islice(stream, count)))
    return str(target)


def test_every_real_record_is_valid(real_answers):
    for path in sorted(real_answers.glob("*.jsonl.gz")):
        records = list(read_answers(path))
        assert len(records) >= 99, path.name
        texts = [AnswerTexts.of(record) for record in records[:100]]
        assert all(
            one.ids[-1] in one.ids[:-1] or record.greedy is not None
            for one, record in zip(texts, records, strict=False)
        )


@pytest.mark.slow
@pytest.mark.parametrize("features", [["spectrum"], ["spectrum", "scored_similarity", "match_fraction"]])
def test_p_correct_ranks_and_is_calibrated_on_real_answers(real_answers, tmp_path, features):
    path = first(real_answers / "mmbench__Qwen-VL-Chat.jsonl.gz", 1000, tmp_path / "a.jsonl")
    torch.manual_seed(0)
    data = AnswerDataModule(path, encoder="minilm")
    test = fit(data, SGPUModule(features=features), out=tmp_path, enable_progress_bar=False).metrics["test"]
    assert test["auroc"] > 0.7
    assert test["ece"] < 3 * test["ece_floor"]


@pytest.mark.slow
def test_two_kinds_of_answers_fit_together(real_answers, tmp_path):
    names = ("oodcv__Yi-VL-6B.jsonl.gz", "triviaqa__llama-13b.jsonl.gz")  # ten answers with greedy, twenty without
    paths = [first(real_answers / name, 300, tmp_path / f"{i}.jsonl") for i, name in enumerate(names)]
    data = AnswerDataModule(paths, encoder="minilm")
    torch.manual_seed(0)
    fitted = fit(data, out=tmp_path, enable_progress_bar=False)
    held_out = data.split_indices["test"]
    p = fitted.module(data.batch(held_out)).p_correct
    assert auroc(p, data.table.labels[held_out]) > 0.65
