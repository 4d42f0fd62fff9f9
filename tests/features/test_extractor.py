"""Feature blocks and the learnable front."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sgpu_lightning.answers.record import parse_record
from sgpu_lightning.answers.storage.vectors import VectorSpec
from sgpu_lightning.answers.text_statistics import AnswerTexts
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.features.answer_batch import TextBatch, batch_of_vectors
from sgpu_lightning.features.blocks import BLOCKS
from sgpu_lightning.features.extractor import AnswerFeatures, blocks_of, mean_of
from tests.toy import random_batch, toy_rows

LOGPROBS = {"logprobs": [-1.0, -2.0, -3.0, -4.0]}


def text_batch(*rows):
    """Answer sets whose texts matter; all sets have as many answers."""
    texts = TextBatch.collate([AnswerTexts.of(parse_record({"id": str(i)} | row)) for i, row in enumerate(rows)])
    count = texts.logprobs.shape[1]
    return batch_of_vectors(torch.ones(len(rows), count, 3, dtype=torch.float64), texts=texts)


def test_blocks_stand_in_the_order_given_and_have_the_width_promised():
    batch = random_batch(answers=10)
    one, two = AnswerFeatures(["match_fraction", "spectrum"]), AnswerFeatures(["spectrum"])
    assert one(batch).shape == (6, one.num_features) == (6, 11)
    torch.testing.assert_close(one(batch)[:, 1:], two(batch))
    equal = batch.texts.ids[:, :-1] == batch.texts.ids[:, -1:]
    torch.testing.assert_close(one(batch)[:, 0], equal.double().mean(1))


def test_spectrum_block_is_the_log_of_the_floored_eigenvalues():
    vectors = torch.randn(3, 10, 16, dtype=torch.float64)
    unit = torch.nn.functional.normalize(vectors, dim=-1)
    expected = torch.linalg.eigvalsh(unit @ unit.mT / 10).flip(-1).clamp_min(1e-6).log()
    torch.testing.assert_close(AnswerFeatures(["spectrum"])(batch_of_vectors(vectors)), expected)


def test_scored_similarity_is_the_sorted_cosines_with_the_scored_answer():
    batch = random_batch(answers=10)
    cosines = torch.nn.functional.cosine_similarity(batch.scored.unsqueeze(2), batch.vectors, dim=-1)[:, 0]
    expected = cosines.sort(dim=-1, descending=True).values
    torch.testing.assert_close(AnswerFeatures(["scored_similarity"])(batch), expected)


@pytest.mark.parametrize("blocks", [["spectrum"], ["scored_similarity"], list(BLOCKS)])
def test_order_of_the_answers_does_not_matter(blocks):
    batch = random_batch(answers=10)
    order = torch.randperm(10)
    texts, also_scored = batch.texts, torch.cat([order, torch.tensor([10])])
    shuffled = dataclasses.replace(
        batch,
        vectors=batch.vectors[:, :, order],
        texts=TextBatch(
            ids=texts.ids[:, also_scored],
            overlap=texts.overlap[:, also_scored][:, :, also_scored],
            lengths=texts.lengths[:, also_scored],
            logprobs=texts.logprobs[:, order],
        ),
    )
    extract = AnswerFeatures(blocks)
    torch.testing.assert_close(extract(batch), extract(shuffled))


@pytest.mark.parametrize("block", BLOCKS)
def test_padding_does_not_matter(block):
    batch, blocks = random_batch(answers=4), [block]
    texts = [AnswerTexts.of(parse_record(one | LOGPROBS)) for one in toy_rows(6, 4)]
    batch = dataclasses.replace(batch, texts=TextBatch.collate(texts))
    padded = dataclasses.replace(
        batch,
        texts=TextBatch.collate(texts, width=7),
        vectors=torch.cat([batch.vectors, torch.zeros(6, 1, 3, 7, dtype=torch.float64)], dim=2),
        mask=torch.arange(7).repeat(6, 1) < 4,
    )
    extract = AnswerFeatures(blocks)
    torch.testing.assert_close(extract(padded), extract(batch))


def test_match_fraction_counts_answers_equal_to_the_scored():
    batch = text_batch({"answers": ["Paris", "A Paris.", "Lyon", "Paris, France"], "greedy": "the paris!"})
    assert AnswerFeatures(["match_fraction"])(batch).tolist() == [[0.5]]


def test_lexical_spectrum_is_that_of_the_exact_match_gram_matrix():
    answers = ["a1", "b2", "a1", "c3", "a1", "b2", "d4", "a1", "e5", "b2"]
    exact = torch.tensor([[float(one == other) for other in answers] for one in answers], dtype=torch.float64)
    expected = torch.linalg.eigvalsh(exact / 10).flip(-1).clamp_min(0.0)
    found = AnswerFeatures(["lexical_spectrum"])(text_batch({"answers": answers}))
    torch.testing.assert_close(found[0], expected)


def test_overlap_blocks_are_the_spectrum_and_similarities_of_shared_words():
    answers = ["red dog", "red cat", "blue dog", "red dog", "fish", "red", "dog", "a cat", "cat dog", "blue"]
    words = [set(answer.removeprefix("a ").split()) for answer in (*answers, "red dog")]
    jaccard = torch.tensor([[len(a & b) / len(a | b) for b in words] for a in words], dtype=torch.float64)
    batch = text_batch({"answers": answers, "greedy": "Red dog."})
    spectrum = torch.linalg.eigvalsh(jaccard[:-1, :-1] / 10).flip(-1).clamp_min(1e-3).log()
    similarity = jaccard[-1, :-1].sort(descending=True).values
    found = AnswerFeatures(["overlap_spectrum", "overlap_similarity"])(batch)[0]
    torch.testing.assert_close(found, torch.cat([spectrum, similarity]), atol=1e-5, rtol=0)


def test_lengths_are_scored_mean_and_deviation_for_words_and_characters():
    batch = text_batch({"answers": ["Paris", "in Paris", ""], "greedy": "in Paris"})
    words = torch.tensor([2.0, 3.0, 1.0], dtype=torch.float64).log()
    characters = torch.tensor([6.0, 9.0, 1.0], dtype=torch.float64).log()
    expected = [(part[1], part.mean(), part.std(correction=0)) for part in (words, characters)]
    found = AnswerFeatures(["lengths"])(batch)[0]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64).flatten(), atol=1e-6, rtol=0)


def test_logprob_is_mean_and_deviation_and_refuses_sets_without():
    batch = text_batch({"answers": ["a", "b", "c"], "logprobs": [-1.0, -2.0, -6.0]})
    expected = torch.tensor([-3.0, (14 / 3) ** 0.5], dtype=torch.float64)
    torch.testing.assert_close(AnswerFeatures(["logprob"])(batch)[0], expected, atol=1e-6, rtol=0)
    both = text_batch({"answers": ["a", "b"], "logprobs": [-1.0, -2.0]}, {"answers": ["a", "b"]})
    with pytest.raises(SGPUError, match="'logprob' needs 'logprobs' in every record, but 1 of 2 answer sets lack them"):
        AnswerFeatures(["logprob"])(both)


def test_agreement_says_which_features_rise_with_it():
    """From answers that all differ to answers that are all the same, every signed feature moves by its sign."""
    same, apart = ["x y"] * 10, [f"w{i} v{i}" for i in range(10)]
    extract = AnswerFeatures([block for block in BLOCKS if block not in ("spectrum", "scored_similarity")][:-1])
    agree = extract(text_batch({"answers": same, "greedy": "x y", "logprobs": [-1.0] * 10}))
    differ = extract(text_batch({"answers": apart, "greedy": "none at all", "logprobs": [-1.0] * 10}))
    signed = extract.agreement != 0
    assert torch.equal((agree - differ)[0, signed].sign(), extract.agreement[signed])
    vectors = torch.cat([torch.ones(1, 10, 10), torch.eye(10)[None]]).double()
    batch = batch_of_vectors(vectors, torch.eye(10)[[0, 0]].double() + torch.tensor([[1.0], [0.0]]).double())
    extract = AnswerFeatures(["spectrum", "scored_similarity"])
    change = extract(batch)[0] - extract(batch)[1]
    assert torch.equal(change.sign()[:10], extract.agreement[:10])
    assert change[10:].sum() > 0


def test_batch_size_does_not_matter():
    batch = random_batch(sets=9)
    extract = AnswerFeatures(BLOCKS)
    apart = torch.cat([extract(batch.take(torch.tensor([i]))) for i in range(9)])
    torch.testing.assert_close(extract(batch), apart, atol=1e-12, rtol=0)


def test_several_layers_average_their_gram_matrices():
    batch = random_batch(layers=2, answers=10)
    unit = torch.nn.functional.normalize(batch.vectors, dim=-1)
    expected = torch.linalg.eigvalsh((unit @ unit.mT).mean(1) / 10).flip(-1).clamp_min(1e-6).log()
    torch.testing.assert_close(AnswerFeatures(["spectrum"], num_layers=2)(batch), expected)


def test_gradients_reach_projection_layer_weights_and_bandwidth():
    extract = AnswerFeatures(
        list(BLOCKS), projection=(7, 4), num_layers=3, learn_layers=True, gram_kernel="rbf", learn_gamma=True
    )
    extract(random_batch(layers=3)).square().sum().backward()
    for name, parameter in extract.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name


def test_only_learnable_fronts_say_so():
    assert not AnswerFeatures(list(BLOCKS)).learnable
    assert AnswerFeatures(list(BLOCKS), projection=(7, 4)).learnable
    assert AnswerFeatures(list(BLOCKS), learn_gamma=True).learnable
    assert AnswerFeatures(list(BLOCKS), num_layers=2, learn_layers=True).learnable


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"blocks": []},
            r"features: expected distinct blocks out of lengths, lexical_spectrum, logprob, match_fraction",
        ),
        ({"blocks": ["spectrum", "spectrum"]}, r"features: expected distinct blocks"),
        ({"blocks": ["spectra"]}, r"features: expected distinct blocks .* got \['spectra'\]"),
        ({"size": 2}, "num_eigenvalues: expected 3 to 1000, got 2"),
        ({"floor": 0.5}, r"floor: expected a number between 0 and 1/num_eigenvalues = 0.1, got 0.5"),
        ({"gram_kernel": "cubic"}, "gram_kernel: expected one of linear, rbf, got 'cubic'"),
        ({"gamma": 0.0}, "gamma: expected a number > 0, got 0.0"),
    ],
)
def test_settings_that_are_off_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        AnswerFeatures(**kwargs)


@pytest.mark.parametrize(
    ("block", "what"),
    [
        ("lexical_spectrum", "texts"),
        ("overlap_spectrum", "texts"),
        ("overlap_similarity", "texts"),
        ("logprob", "texts"),
        ("scored_similarity", "the scored answer's vector"),
        ("match_fraction", "texts"),
        ("lengths", "texts"),
        ("question", "question's vector"),
    ],
)
def test_a_block_without_its_input_says_so(block, what):
    with pytest.raises(ValueError, match=f"feature block '{block}' needs the .*{what.split()[-1]}"):
        AnswerFeatures([block])(batch_of_vectors(torch.randn(2, 5, 8)))


def test_every_block_has_the_width_it_promises():
    batch = random_batch(answers=10)
    for block in BLOCKS:
        extract = AnswerFeatures([block])
        assert extract(batch).shape == (6, *extract.widths), block


def test_hidden_states_give_every_default_block_but_the_question():
    encoder = VectorSpec(kind="encoder", source="e", dim=4)
    hidden = VectorSpec(kind="hidden", source="m", dim=4, layer=0, num_layers=2, token="last")
    assert blocks_of([hidden, hidden]) == [block for block in blocks_of([encoder]) if block != "question"]
    assert "question" in blocks_of([encoder])


def test_the_mean_of_the_spectrum_alone_is_constant():
    assert mean_of(["spectrum"]) == "constant"
    assert mean_of(["spectrum", "lengths"]) == "agreement"


def test_another_number_of_layers_is_refused():
    with pytest.raises(ValueError, match="vectors: expected 1 layers, got 2"):
        AnswerFeatures(["spectrum"])(random_batch(layers=2))
