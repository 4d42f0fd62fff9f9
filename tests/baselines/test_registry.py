from __future__ import annotations

import re

import pytest
import torch

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.storage.vectors import VectorShard
from sgpu_lightning.baselines import SCORES, NLIMatrices, ScoreError, ScoreInputs, compute_scores, get_score
from sgpu_lightning.baselines.inputs.score_needs import NEEDS, REASONS
from sgpu_lightning.errors import SGPUError
from tests.baselines.helpers import random_inputs, records_of, reference_inputs

every_score = pytest.mark.parametrize("name", SCORES)

# Every row of the table of baselines, by the names that stand for it.
ROWS = [
    *("match_fraction", "exact_match", "mean_cosine", "mean_cosine_uqlm", "lexical_entropy", "lexical_similarity"),
    *("num_sets", "semantic_entropy", "semantic_entropy_strict", "semantic_entropy_likelihood"),
    *("semantic_entropy_cos", "eigv_jaccard", "deg_jaccard", "ecc_jaccard", "eigv_cosine", "eigv_nli"),
    *("kle_heat_cosine", "kle_matern_cosine", "kle_heat_lm_polygraph", "von_neumann_entropy"),
    *("von_neumann_entropy_rbf", "eigenscore", "eigenscore_inside", "logdet", "snne", "semantic_density"),
    *("sentence_sar_given", "luq", "perplexity", "mean_token_entropy", "sequence_entropy", "p_true"),
]


def part(inputs: ScoreInputs, i: int) -> ScoreInputs:
    """One set alone, padded no further than its own answers."""
    n = len(inputs.records[i].answers)
    return ScoreInputs(
        records=[inputs.records[i]],
        vectors=inputs.vectors[i : i + 1, :n],
        scored=inputs.scored[i : i + 1],
        similarity=inputs.similarity[i : i + 1, :n, :n],
        nli=NLIMatrices(inputs.nli.logits[i : i + 1, :n, :n], inputs.nli.scored[i : i + 1, :n]),
    )


def test_every_baseline_is_there():
    assert set(ROWS) <= set(SCORES)


@every_score
def test_every_score_is_documented(name):
    score = SCORES[name]
    assert score.name == name
    assert score.sign in (1, -1)
    assert all((score.definition, score.source, score.low, score.high, score.family))
    assert set(score.needs) <= set(NEEDS)


@every_score
def test_scores_do_not_depend_on_what_else_is_in_the_batch(name):
    inputs = random_inputs()
    together = get_score(name).confidence(inputs)
    alone = [get_score(name).confidence(part(inputs, i)).item() for i in range(len(inputs))]
    assert together.dtype == torch.float64
    assert together.tolist() == pytest.approx(alone, abs=1e-10)
    assert torch.isfinite(together).all()


@every_score
def test_confidence_is_the_raw_quantity_by_its_sign(name):
    inputs, score = random_inputs(), get_score(name)
    assert torch.equal(score.confidence(inputs), score.sign * score.raw(inputs) + 0.0)


AGREEMENT = [name for name, score in SCORES.items() if score.family in ("lexical", "cosine", "spectral", "graph")]


@pytest.mark.parametrize("name", [name for name in AGREEMENT if name not in ("eigv_given", "kle_heat_lm_polygraph")])
def test_agreement_is_more_confident_than_disagreement(name):
    score = get_score(name)
    agree, differ = ("red fox",) * 4, ("red fox", "blue whale", "green tea", "old news")
    meta = {"answer_tokens": [2, 2, 2, 2]}
    records = records_of(agree, differ, greedy="red fox", logprobs=(-1.0,) * 4, meta=meta)
    eye = torch.eye(4, dtype=torch.float64)
    vectors = torch.stack([eye[:1].expand(4, 4), eye])
    similarity = torch.stack([torch.ones_like(eye), eye])
    classes = torch.nn.functional.one_hot(2 * similarity.long(), 3).double()
    inputs = ScoreInputs(
        records=records,
        vectors=vectors - vectors.mean(-1, keepdim=True) if name.startswith("eigenscore") else vectors,
        scored=vectors[:, 0],
        similarity=similarity,
        nli=NLIMatrices(8 * classes),
    )
    sure, unsure = score.confidence(inputs).tolist()
    assert sure > unsure + 1e-6


def test_permuted_answers_give_the_same_scores():
    # Greedy clusters depend on the order where equivalence is not transitive, and BLEU on who comes first.
    inputs, order = random_inputs(counts=(6, 6, 6)), torch.tensor([3, 0, 5, 1, 4, 2])
    records = [
        AnswerSet(
            id=record.id,
            answers=tuple(record.answers[i] for i in order),
            greedy=record.greedy,
            logprobs=tuple(record.logprobs[i] for i in order),
            meta=record.meta | {"answer_tokens": [record.meta["answer_tokens"][i] for i in order]},
        )
        for record in inputs.records
    ]
    moved = ScoreInputs(
        records=records,
        vectors=inputs.vectors[:, order],
        scored=inputs.scored,
        similarity=inputs.similarity[:, order][:, :, order],
        nli=NLIMatrices(inputs.nli.logits[:, order][:, :, order], inputs.nli.scored[:, order]),
    )
    for name, score in SCORES.items():
        # A text that is there twice counts in semantic density as the first of its kind does.
        if not name.startswith("semantic") and not name.endswith("bleu"):
            assert score.raw(moved).tolist() == pytest.approx(score.raw(inputs).tolist(), abs=1e-9), name


def test_scores_that_lack_their_input_are_left_out_with_the_reason():
    table = compute_scores(ScoreInputs(records=records_of(("red", "blue"), ("red", "red"))))
    texts_only = {name for name, score in SCORES.items() if not score.needs}
    assert set(table.confidence) == texts_only
    assert set(table.left_out) == set(SCORES) - texts_only
    assert table.left_out["mean_cosine"] == {"no vectors were given": 2}
    assert table.left_out["num_sets"] == {"no NLI model or matrices were given": 2}
    assert "it takes the model" in next(iter(table.left_out["p_true"]))


def test_sets_that_lack_an_input_are_nan_and_counted():
    inputs = random_inputs()
    records = list(inputs.records)
    for i in (1, 4):
        record = records[i]
        records[i] = AnswerSet(id=record.id, answers=record.answers, greedy=record.greedy, meta={})
    some = ScoreInputs(records=records, vectors=inputs.vectors, scored=inputs.scored, nli=inputs.nli)
    table = compute_scores(some, ["sequence_entropy", "semantic_entropy", "mean_cosine", "perplexity"])
    whole = get_score("sequence_entropy").confidence(inputs)
    missing = torch.tensor([i in (1, 4) for i in range(6)])
    assert torch.equal(table.confidence["sequence_entropy"].isnan(), missing)
    assert torch.equal(table.confidence["sequence_entropy"][~missing], whole[~missing])
    assert table.left_out == {
        "sequence_entropy": {REASONS["logprobs"]: 2},
        "perplexity": {REASONS["scored_logprob"]: 2},
    }
    assert torch.equal(table.confidence["mean_cosine"], get_score("mean_cosine").confidence(inputs))


BAD_META = {
    "too few": {"answer_tokens": [1]},
    "zero": {"answer_tokens": [1, 0]},
    "text": {"answer_tokens": "12"},
    "not numbers": {"answer_tokens": [1, "2"]},
    "truth": {"answer_tokens": [True, True]},
}


@pytest.mark.parametrize("meta", BAD_META.values(), ids=BAD_META.keys())
def test_numbers_of_tokens_that_are_none_count_as_lacking(meta):
    inputs = ScoreInputs(records=records_of(("red", "blue"), logprobs=(-1.0, -2.0), meta=meta))
    assert get_score("sequence_entropy_normalised").lacking(inputs) == {REASONS["answer_tokens"]: 1}
    assert get_score("sequence_entropy").raw(inputs).item() == 1.5


def test_the_majority_answers_own_likelihood_is_the_scored_one():
    records = records_of(("b", "a", "a"), logprobs=(-9.0, -3.0, -4.0), meta={"answer_tokens": [1, 2, 3]})
    inputs = ScoreInputs(records=records)
    assert get_score("sequence_probability").raw(inputs).item() == -3
    assert get_score("perplexity").raw(inputs).item() == 1.5


def test_a_shard_of_unequal_sets_is_padded():
    inputs = random_inputs()
    flat = [inputs.vectors[i, : len(record.answers)].numpy() for i, record in enumerate(inputs.records)]
    shard = VectorShard.stack(flat, list(inputs.scored.numpy()))
    again = ScoreInputs.from_shard(inputs.records, shard)
    for name in ("mean_cosine", "eigv_cosine", "eigenscore"):
        assert get_score(name).raw(again).tolist() == pytest.approx(get_score(name).raw(inputs).tolist(), abs=1e-10)
    with pytest.raises(SGPUError, match="expected as many vectors for each set as the record has answers"):
        ScoreInputs.from_shard(inputs.records[:2], shard)


def test_round_off_leaves_no_cosine_outside_its_range():
    vector = torch.nn.functional.normalize(torch.rand(1, 1, 384), dim=-1)
    inputs = ScoreInputs(records=records_of(("a", "a", "a")), vectors=vector.expand(1, 3, 384), scored=vector[:, 0])
    for name in ("mean_cosine", "mean_cosine_uqlm"):
        assert 1 - 1e-12 < get_score(name).raw(inputs).item() <= 1


def test_unknown_scores_are_named():
    with pytest.raises(ScoreError, match="unknown score 'entropy', expected one of match_fraction, exact_match, "):
        compute_scores(random_inputs(), ["entropy"])


WRONG = {
    "no records": ({"records": []}, "records: expected at least one answer set, got none"),
    "vectors of other sets": ({"vectors": torch.ones(3, 2, 4)}, "vectors: expected 3 axes, the first 2"),
    "too few vectors": ({"vectors": torch.ones(2, 1, 4)}, "the second at least 2 (the most answers of a set)"),
    "layers": ({"vectors": torch.ones(2, 1, 2, 4)}, "vectors: expected 3 axes"),
    "scored of other sets": ({"scored": torch.ones(3, 4)}, "scored: expected shape (2, d), got (3, 4)"),
    "scored alone": ({"scored": torch.ones(2, 4)}, "scored: expected the answers' vectors too, got none"),
    "similarity": ({"similarity": torch.ones(2, 2)}, "similarity: expected 3 axes"),
    "nli": ({"nli": NLIMatrices(torch.ones(2, 2, 2))}, "nli.logits: expected 4 axes"),
}


@pytest.mark.parametrize(("given", "message"), WRONG.values(), ids=WRONG.keys())
def test_inputs_that_do_not_fit_the_records_are_refused(given, message):
    with pytest.raises(SGPUError, match=re.escape(message)):
        ScoreInputs(**({"records": records_of(("a", "b"), ("a", "a"))} | given))


@pytest.mark.parametrize("change", ["diagonal", "negative", "not symmetric", "not finite"])
def test_given_similarities_are_checked(change):
    inputs = reference_inputs()
    if change == "diagonal":
        inputs.similarity[2, 1, 1] = 0.5
    else:
        inputs.similarity[2, 1, 0] = {"negative": -0.5, "not symmetric": 0.99999, "not finite": torch.nan}[change]
    with pytest.raises(SGPUError, match="similarity: expected symmetric matrices of numbers in"):
        get_score("deg_given").raw(inputs)


def test_nli_logits_that_are_not_finite_are_refused():
    inputs = reference_inputs()
    inputs.nli.logits[1, 0, 0, 0] = torch.nan
    with pytest.raises(SGPUError, match="nli: expected finite logits, got NaN or infinity"):
        get_score("num_sets").raw(inputs)
