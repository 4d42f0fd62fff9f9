"""A model joined to a predictor: one question in, the answer and its P(correct) out."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image

from sgpu_lightning.predictor import PredictorError, SetVectors, UnlikeTrainingWarning
from sgpu_lightning.predictor.wrap import layer_in
from sgpu_lightning.sampling.local.huggingface import HuggingFaceSampler
from sgpu_lightning.sampling.sampling_settings import SamplingSettings
from sgpu_lightning.tasks.question import Question
from tests.answers.helpers import hidden
from tests.sampling import families
from tests.sampling.tiny import PLAIN, make_llama, make_tokenizer

SHORT = SamplingSettings(max_new_tokens=4)


@pytest.fixture(autouse=True)
def _quiet():
    # Random models are unlike anything.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnlikeTrainingWarning)
        yield


def test_it_gives_what_sampling_and_scoring_apart_give(white):
    predictor, model, tokenizer = white.load(), make_llama(), make_tokenizer()
    reply = predictor.wrap(model, tokenizer, settings=SHORT, prompt=PLAIN).ask("w5 w6 w7")
    sampler = HuggingFaceSampler(model, tokenizer, SHORT, layers=[1], prompt=PLAIN)  # block 1 of 3, as 1 of 4
    (sampled,) = sampler.sample([Question(id="question", question="w5 w6 w7")])
    (expected,) = predictor.score([sampled.record], vectors=[SetVectors(*sampled.vectors[1])])
    assert reply.answer == sampled.record.greedy
    assert reply.record.answers == sampled.record.answers
    assert reply.p_correct == pytest.approx(expected.p_correct, abs=1e-12)
    assert reply.score.scored_answer == reply.answer


def test_a_vision_language_model_is_shown_the_image(white, tmp_path):
    model, processor = families.family("llava-1.5")
    wrapped = white.load().wrap(model, processor, settings=SHORT)
    path = families.write_image(tmp_path / "image.png", 8, 8, seed=0)
    by_path = wrapped.ask("What is shown?", image=path)
    with Image.open(path) as image:
        by_image = wrapped.ask("What is shown?", image=image)
    other = Image.fromarray(np.random.default_rng(1).integers(0, 255, (8, 8, 3), dtype=np.uint8))
    assert by_path.p_correct == by_image.p_correct
    assert wrapped.ask("What is shown?", image=other).score != by_path.score


def test_a_black_box_predictor_embeds_the_answers(black):
    predictor = black.load()
    reply = predictor.wrap(make_llama(), make_tokenizer(), settings=SHORT, prompt=PLAIN).ask("w5 w6")
    assert reply.score.p_correct == pytest.approx(predictor.score([reply.record])[0].p_correct, abs=1e-12)


def test_another_number_of_answers_than_the_predictors_is_refused(white):
    with pytest.raises(PredictorError, match=r"num_answers: expected 10 answers, .* got 4"):
        white.load().wrap(make_llama(), make_tokenizer(), settings=SamplingSettings(num_answers=4))


@pytest.mark.parametrize("option", [{"layers": [0]}, {"token": "mean"}])
def test_the_predictor_says_what_is_recorded(white, option):
    with pytest.raises(PredictorError, match="expected no value, since the predictor determines it"):
        white.load().wrap(make_llama(), make_tokenizer(), **option)


@pytest.mark.parametrize(
    ("layer", "of", "num_layers", "expected"),
    [(16, 32, 28, 14), (14, 29, 32, 16), (31, 32, 4, 3), (0, 32, 4, 0), (8, 32, 4, 1), (1, 4, 4, 1), (3, None, 6, 3)],
)
def test_the_layer_as_deep_is_taken_and_matches(layer, of, num_layers, expected):
    spec = hidden(layer=layer, num_layers=of)
    assert layer_in(spec, num_layers) == expected
    assert spec.matches(hidden(source="other", layer=expected, num_layers=num_layers))
