"""Loading a predictor and scoring with it, as its users do."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sgpu_lightning import SGPUPredictor
from sgpu_lightning.answers.record import parse_record
from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.answers.storage.vectors import VectorError, VectorSpec
from sgpu_lightning.predictor import PredictorError, Score, SetVectors, UnlikeTrainingWarning
from tests.embedding.helpers import CountingEncoder
from tests.toy import toy_rows, toy_vectors


def white_sets(count=5, dim=16):
    """Records and their hidden states."""
    records = [parse_record(row) for row in toy_rows(count)]
    shard = toy_vectors(records, dim)
    answers = np.split(shard.answers, np.cumsum(shard.counts)[:-1])
    return records, [SetVectors(a, s) for a, s in zip(answers, shard.scored, strict=True)]


def test_one_set_gives_one_score(black):
    predictor = black.load()
    row = toy_rows(1)[0]
    score = predictor.score(row["answers"], greedy=row["greedy"], question=row["question"])
    assert isinstance(score, Score)
    assert 0 < score.p_correct < 1
    assert score.scored_answer == row["greedy"]


def test_the_p_correct_of_a_score_is_the_fitted_modules(black):
    predictor = black.load()
    rows = toy_rows(240)
    index = black.data.split_indices["test"]
    scores = predictor.score([rows[i] for i in index.tolist()])
    expected = black.module(black.data.batch(index))
    torch.testing.assert_close(
        torch.tensor([score.p_correct for score in scores], dtype=torch.float64), expected.p_correct, atol=1e-6, rtol=0
    )  # vectors of texts differ by round-off with what they are encoded beside


def test_a_list_a_dataset_and_columns_give_the_same(black):
    import datasets

    predictor = black.load()
    rows = [{key: row[key] for key in ("answers", "greedy", "question")} for row in toy_rows(6)]
    columns = {key: [row[key] for row in rows] for key in ("answers", "greedy", "question")}
    by_list = predictor.score(rows)
    assert predictor.score(datasets.Dataset.from_list(rows)) == by_list
    assert predictor.score(**columns) == by_list
    assert [score.id for score in by_list] == ["0", "1", "2", "3", "4", "5"]
    one = predictor.score(**rows[2])
    assert one.p_correct == pytest.approx(by_list[2].p_correct, abs=1e-12)


def test_without_a_greedy_answer_the_majority_is_scored(black):
    assert black.load().score(["red"] * 6 + ["blue"] * 4).scored_answer == "red"


def test_an_empty_list_of_answers_is_a_set_without_answers(black):
    with pytest.raises(ValueError, match="key 'answers': expected at least 2 answers, got 0"):
        black.load().score([])


@pytest.mark.parametrize(
    ("answers", "options", "message"),
    [
        ("Paris", {}, "answers: expected the answers of a set, or a list of records, got str 'Paris'"),
        ({"answers": ["a"] * 10}, {}, r"one record: score\(\[record\]\)"),
        (7, {}, "expected the answers of a set, or a list of records, got int 7"),
        ([["a"] * 10] * 2, {"greedy": "a"}, "greedy: expected 2 values, one for each set, got str 'a'"),
        ([["a"] * 10] * 2, {"greedy": ["a"]}, "greedy: expected 2 values, one for each set"),
        ([{"answers": ["a"] * 10}], {"greedy": ["a"]}, "greedy: expected nothing beside records"),
        (["a"] * 10, {"label": 7}, "answer set 0: key 'label': expected 0, 1 or null, got int 7"),
        ([{"answers": ["a"] * 10}, 7], {}, "answer set 1: expected a JSON object, got int 7"),
        (
            ["a"] * 9,
            {},
            "answer set 0: key 'answers': expected 10 answers, which this predictor was fitted on, got 9",
        ),
        (["a"] * 10_000, {}, "expected 10 answers, .* got 10000"),
        (["a" * 500_000] * 10, {}, "expected texts of at most 4,000,000 characters in all, got 5,000,000"),
    ],
)
def test_what_cannot_be_scored_is_refused(black, answers, options, message):
    with pytest.raises(ValueError, match=message):
        black.load(encoder=CountingEncoder("minilm", black.load().config.vectors[0].revision, 384)).score(
            answers, **options
        )


class TestVectorsGiven:
    def test_a_stores_own_give_the_fitted_modules_prediction(self, white):
        store = AnswerStore.open(white.answers)
        shard = store.read_vectors("layer1-last", store.shards[0])
        answers = np.split(shard.answers, np.cumsum(shard.counts)[:-1])
        vectors = [SetVectors(a, s) for a, s in zip(answers, shard.scored, strict=True)]
        scores = white.load().score(store.read(store.shards[0]), vectors=vectors)
        expected = white.module(white.data.batch(torch.arange(len(scores))))
        for name in expected._fields:
            assert [getattr(score, name) for score in scores] == pytest.approx(
                getattr(expected, name).tolist(), abs=1e-10
            )

    def test_batches_and_other_widths_make_no_difference(self, white):
        predictor = white.load()
        records, vectors = white_sets(dim=16)
        padded = [
            SetVectors(np.pad(one.answers, ((0, 0), (0, 9))), np.pad(one.scored, (0, 9))) for one in vectors
        ]  # zeros change no cosine
        alone = [predictor.score([r], vectors=[v])[0].p_correct for r, v in zip(records, vectors, strict=True)]
        together = [score.p_correct for score in predictor.score(records, vectors=padded)]
        assert together == pytest.approx(alone, abs=1e-10)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
    def test_tensors_do_as_well(self, white, dtype):
        records, vectors = white_sets(1)
        tensors = SetVectors(torch.tensor(vectors[0].answers).to(dtype), torch.tensor(vectors[0].scored).to(dtype))
        got = white.load().score(records, vectors=[tensors])[0].p_correct
        assert got == pytest.approx(white.load().score(records, vectors=vectors)[0].p_correct, abs=1e-2)

    @pytest.mark.parametrize(
        ("spoil", "error", "message"),
        [
            (lambda a, s: (np.where(a == a[3], np.nan, a), s), VectorError, "answer set 'q0': .* got NaN or infinity"),
            (lambda a, s: (a, 0 * s), VectorError, "answer set 'q0': expected finite, non-zero vectors, got a zero"),
            (lambda a, s: (a[:9], s), VectorError, r"expected vectors of 10 answers .* got \[1, 9, 16\] and \[1, 16\]"),
            (lambda a, s: (a, s[:5]), VectorError, r"got \[1, 10, 16\] and \[1, 5\]"),
            (lambda a, s: (np.stack([a, a]), s), VectorError, r"in 1 layers, .* got \[2, 10, 16\]"),
        ],
        ids=["NaN", "zero", "too few", "another length", "another number of layers"],
    )
    def test_bad_ones_are_refused(self, white, spoil, error, message):
        records, vectors = white_sets(1)
        bad = SetVectors(*spoil(vectors[0].answers, vectors[0].scored))
        with pytest.raises(error, match=message):
            white.load().score(records, vectors=[bad])

    def test_there_must_be_one_for_each_set(self, white):
        records, vectors = white_sets(3)
        with pytest.raises(PredictorError, match="vectors: expected 3, one for each answer set, got 2"):
            white.load().score(records, vectors=vectors[:2])

    @pytest.mark.parametrize(
        ("change", "got"),
        [
            ({"token": "mean"}, "layer 1 of 4, mean token"),
            ({"layer": 3}, "layer 3 of 4, last token"),
            ({"source": "big", "layer": 31, "num_layers": 32}, "hidden states of big, layer 31 of 32"),
        ],
    )
    def test_another_layer_or_token_rule_is_refused_naming_both(self, white, change, got):
        predictor = white.load()
        records, vectors = white_sets(1)
        made_by = (dataclasses.replace(predictor.config.vectors[0], **change),)
        with pytest.raises(
            PredictorError, match=f"fitted on .* of toy, layer 1 of 4, last token, got .*{got}.*use the same"
        ):
            predictor.score(records, vectors=[dataclasses.replace(vectors[0], made_by=made_by)])

    def test_those_of_an_encoder_are_refused_by_a_white_box_predictor(self, white):
        records, vectors = white_sets(1)
        made_by = (VectorSpec(kind="encoder", source="minilm", dim=16),)
        with pytest.raises(
            PredictorError, match=r"fitted on vectors of hidden states .*, got encoder minilm; use the same"
        ):
            white.load().score(records, vectors=[dataclasses.replace(vectors[0], made_by=made_by)])

    def test_another_length_than_the_encoders_is_refused(self, black):
        row = toy_rows(1)[0]
        rng = np.random.default_rng(0)
        vectors = SetVectors(rng.normal(size=(10, 7)), rng.normal(size=7), rng.normal(size=7))
        with pytest.raises(PredictorError, match=r"vectors of length 384 .*, got length 7 .*use the same encoder"):
            black.load().score(row["answers"], greedy=row["greedy"], vectors=vectors)

    def test_a_question_without_a_vector_is_missed_where_a_feature_looks_at_it(self, black):
        rng = np.random.default_rng(0)
        vectors = SetVectors(rng.normal(size=(10, 384)), rng.normal(size=384))
        with pytest.raises(ValueError, match="feature block 'question' needs the question's vector"):
            black.load().score(["a"] * 10, vectors=vectors)


class TestEncoder:
    def test_another_one_is_refused_naming_both(self, black):
        with pytest.raises(
            PredictorError, match=r"fitted on vectors of encoder minilm .*, got encoder fake \(revision r1\)"
        ):
            black.load(encoder=CountingEncoder())

    def test_one_of_another_dimension_is_refused(self, black):
        revision = black.load().config.vectors[0].revision
        with pytest.raises(PredictorError, match=r"vectors of length 384 .*, got length 4"):
            black.load(encoder=CountingEncoder(revision=revision))

    def test_a_white_box_predictor_takes_none(self, white):
        with pytest.raises(PredictorError, match=r"fitted on vectors of hidden states .*, got encoder fake"):
            white.load(encoder=CountingEncoder())
        with pytest.raises(PredictorError, match=r"takes hidden states .*, not texts: give vectors, score a store"):
            white.load().score(["a"] * 10)

    def test_repeated_texts_are_encoded_once_over_calls(self, black):
        encoder = CountingEncoder("minilm", black.load().config.vectors[0].revision, 384)
        predictor = black.load(encoder=encoder)
        rows = toy_rows(30)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnlikeTrainingWarning)
            predictor.score(rows)
            predictor.score(rows)
        assert len(encoder.texts) == len(set(encoder.texts))


class TestDomain:
    def test_unlike_sets_are_told_of_with_their_share(self, white):
        predictor = white.load()
        records, _ = white_sets(4)
        rng = np.random.default_rng(1)
        odd = [
            parse_record({"id": r.id, "answers": [f"{r.id} {i} " * 40 for i in range(10)], "greedy": "x"})
            for r in records
        ]
        vectors = [SetVectors(rng.normal(size=(10, 16)), rng.normal(size=16)) for _ in odd]
        with pytest.warns(
            UnlikeTrainingWarning, match=r"4 of 4 answer sets \(100%\) look unlike those the predictor was fitted"
        ):
            scores = predictor.score(odd, vectors=vectors)
        assert all(score.unlike_training for score in scores)

    def test_training_like_sets_are_not(self, white):
        index = white.data.split_indices["train"]
        prediction = white.load().model(white.data.batch(index))
        unlike = prediction.latent_variance > white.load().config.domain.unlike_above
        assert unlike.double().mean() <= 0.011 + 1 / len(index)


def test_scoring_needs_none_of_the_heavy_libraries_where_vectors_are_given(white):
    heavy = ("transformers", "lightning", "gpytorch", "sentence_transformers", "torchmetrics", "datasets", "pyarrow")
    code = f"""
import sys
import numpy as np
from sgpu_lightning import SGPUPredictor
from sgpu_lightning.predictor import SetVectors
rng = np.random.default_rng(0)
predictor = SGPUPredictor.from_pretrained({str(white.folder)!r})
score = predictor.score(["a"] * 10, greedy="a", vectors=SetVectors(rng.normal(size=(10, 8)), rng.normal(size=8)))
print(0 < score.p_correct < 1, [name for name in {heavy!r} if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "True []", result.stderr


ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ANY_TEXT, min_size=10, max_size=10), st.none() | ANY_TEXT, st.none() | ANY_TEXT)
def test_any_text_is_scored(black_with_fake_encoder, answers, greedy, question):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnlikeTrainingWarning)
        score = black_with_fake_encoder.score(answers, greedy=greedy, question=question)
    assert 0 <= score.p_correct <= 1
    json.dumps(dataclasses.asdict(score), allow_nan=False)


@pytest.fixture(scope="module")
def black_with_fake_encoder(black) -> SGPUPredictor:
    return black.load(encoder=CountingEncoder("minilm", black.load().config.vectors[0].revision, 384))
