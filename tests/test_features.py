"""Feature blocks and the learnable front."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sgpu_lightning.answers.vectors import VectorSpec
from sgpu_lightning.batch import batch_of_vectors
from sgpu_lightning.features import BLOCKS, AnswerFeatures, blocks_of
from tests.toy import random_batch


def test_blocks_stand_in_the_order_given_and_have_the_width_promised():
    batch = random_batch(answers=10)
    one, two = AnswerFeatures(["match_fraction", "spectrum"]), AnswerFeatures(["spectrum"])
    assert one(batch).shape == (6, one.num_features) == (6, 11)
    torch.testing.assert_close(one(batch)[:, 1:], two(batch))
    torch.testing.assert_close(one(batch)[:, 0], batch.match)


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
    shuffled = dataclasses.replace(batch, vectors=batch.vectors[:, :, torch.randperm(10)])
    extract = AnswerFeatures(blocks)
    torch.testing.assert_close(extract(batch), extract(shuffled))


@pytest.mark.parametrize("blocks", [["spectrum"], ["scored_similarity"]])
def test_padding_does_not_matter(blocks):
    batch = random_batch(answers=4)
    padded = dataclasses.replace(
        batch,
        vectors=torch.cat([batch.vectors, torch.zeros(6, 1, 3, 7, dtype=torch.float64)], dim=2),
        mask=torch.arange(7).repeat(6, 1) < 4,
    )
    extract = AnswerFeatures(blocks)
    torch.testing.assert_close(extract(padded), extract(batch))


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
    extract = AnswerFeatures(BLOCKS, projection=(7, 4), num_layers=3, learn_layers=True, kernel="rbf", learn_gamma=True)
    extract(random_batch(layers=3)).square().sum().backward()
    for name, parameter in extract.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad != 0).any(), name


def test_only_learnable_fronts_say_so():
    assert not AnswerFeatures(BLOCKS).learnable
    assert AnswerFeatures(BLOCKS, projection=(7, 4)).learnable
    assert AnswerFeatures(BLOCKS, learn_gamma=True).learnable
    assert AnswerFeatures(BLOCKS, num_layers=2, learn_layers=True).learnable


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"blocks": []}, r"features: expected distinct blocks out of spectrum, scored_similarity, match_fraction"),
        ({"blocks": ["spectrum", "spectrum"]}, r"features: expected distinct blocks"),
        ({"blocks": ["spectra"]}, r"features: expected distinct blocks .* got \['spectra'\]"),
        ({"size": 2}, "num_eigenvalues: expected at least 3, got 2"),
        ({"floor": 0.5}, r"floor: expected a number between 0 and 1/num_eigenvalues = 0.1, got 0.5"),
        ({"kernel": "cubic"}, "gram: expected one of linear, rbf, got 'cubic'"),
        ({"gamma": 0.0}, "gamma: expected a number > 0, got 0.0"),
    ],
)
def test_settings_that_are_off_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        AnswerFeatures(**kwargs)


@pytest.mark.parametrize(
    ("block", "what"),
    [
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


def test_hidden_states_give_every_block_but_the_question():
    encoder = VectorSpec(kind="encoder", source="e", dim=4)
    hidden = VectorSpec(kind="hidden", source="m", dim=4, layer=0, num_layers=2, token="last")
    assert blocks_of([encoder]) == list(BLOCKS)
    assert blocks_of([hidden, hidden]) == [block for block in BLOCKS if block != "question"]


def test_another_number_of_layers_is_refused():
    with pytest.raises(ValueError, match="vectors: expected 1 layers, got 2"):
        AnswerFeatures(["spectrum"])(random_batch(layers=2))
