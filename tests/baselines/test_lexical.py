from __future__ import annotations

import math
import random

import pytest
import torch

from sgpu_lightning.baselines import ScoreInputs, get_score
from sgpu_lightning.baselines.rouge import common_subsequence, rouge_l, rouge_n, stemmed_words
from tests.baselines.helpers import records_of


def raw(name: str, *sets: tuple[str, ...], **common) -> list[float]:
    return get_score(name).raw(ScoreInputs(records=records_of(*sets, **common))).tolist()


def test_match_fraction_is_after_normalisation_and_exact_match_is_not():
    answers = ("The Paris!", "paris", "Paris", "Lyon")
    assert raw("match_fraction", answers, greedy="Paris") == [0.75]
    assert raw("exact_match", answers, greedy="Paris") == [0.25]


def test_match_fraction_is_the_feature_of_that_name():
    from sgpu_lightning.answers.texts import AnswerTexts
    from sgpu_lightning.features.answer_batch import TextBatch, batch_of_vectors
    from sgpu_lightning.features.extractor import AnswerFeatures
    from tests.baselines.helpers import random_inputs

    inputs = random_inputs()
    texts = TextBatch.collate([AnswerTexts.of(record) for record in inputs.records])
    batch = batch_of_vectors(torch.ones(len(inputs.records), texts.logprobs.shape[1], 2), texts=texts)
    batch.mask = texts.ids[:, :-1] >= 0
    feature = AnswerFeatures(["match_fraction"])(batch)[:, 0]
    torch.testing.assert_close(get_score("match_fraction").raw(inputs), feature)


def test_without_a_greedy_answer_the_majority_is_scored():
    assert raw("match_fraction", ("Lyon", "Paris", "paris", "Nice")) == [0.5]


def test_an_empty_greedy_answer_is_the_scored_one():
    assert raw("match_fraction", ("", "Paris", "", "Nice"), greedy="") == [0.5]


def test_lexical_entropy_in_closed_form():
    sets = [("a b", "a b", "A B."), ("red", "blue", "green"), ("red", "red", "blue")]
    third = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))
    assert raw("lexical_entropy", *sets) == pytest.approx([0, math.log(3), third], abs=1e-12)


def test_rouge_2_of_equal_one_word_answers_is_0():
    assert raw("lexical_similarity_rouge2", ("Paris", "Paris")) == [0]
    assert raw("lexical_similarity", ("Paris", "Paris")) == [1]
    assert raw("lexical_similarity_rouge1", ("Paris", "Paris")) == [1]
    assert raw("lexical_similarity_bleu", ("Paris", "Paris")) == [1]


def test_lexical_similarity_by_hand():
    # (one two three, one three) 4/5; (one two three, four) 0; (one three, four) 0
    assert raw("lexical_similarity", ("one two three", "one three", "four")) == pytest.approx([0.8 / 3], abs=1e-12)


def test_long_words_are_stemmed():
    assert stemmed_words("The runners were running, BUS-es!") == ("the", "runner", "were", "run", "bus", "es")


def plain_common_subsequence(one: list[str], other: list[str]) -> int:
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def test_common_subsequences_are_those_of_the_table():
    rng = random.Random(0)
    for _ in range(300):
        one, other = (rng.choices("abcde", k=rng.randint(0, 90)) for _ in range(2))
        assert common_subsequence(one, other) == plain_common_subsequence(one, other)


@pytest.mark.parametrize("texts", [("", ""), ("", "red"), ("東京", "東京"), ("...", "red")])
def test_texts_without_words_share_nothing(texts):
    assert rouge_l(*texts) == rouge_n(*texts, 1) == rouge_n(*texts, 2) == 0


def test_jaccard_weights_look_at_each_distinct_pair_once():
    records = records_of(*[("a b", "b c", "a b")] * 50)
    group = ScoreInputs(records=records).groups[0]
    calls = []

    def count(one: str, other: str) -> float:
        calls.append((one, other))
        return 1.0

    values = group.pairs(count)
    assert sorted(calls) == [("a b", "a b"), ("a b", "b c")]
    assert values.shape == (50, 3, 3)
    assert torch.equal(values, torch.ones(3, 3).triu(1).double().expand(50, 3, 3))


def test_jaccard_eigenvalues_by_hand():
    # Words {a, b} and {b, c} overlap by 1/3: W = [[1, 1/3], [1/3, 1]], rows sum to 4/3, eigenvalues 1 and 1/2.
    assert raw("eigv_jaccard", ("a b", "B c")) == pytest.approx([1.5], abs=1e-12)
    assert raw("deg_jaccard", ("a b", "B c")) == pytest.approx([1 / 3], abs=1e-12)
