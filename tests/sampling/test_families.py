"""Six families, each by a tiny model of the very class: what every one of them must give, with images and without."""

import pytest
import torch

from sgpu_lightning.sampling import HuggingFaceSampler, PromptSettings, SamplingSettings, decoding
from tests.sampling.families import (
    FAMILIES,
    VISION_LANGUAGE,
    family,
    lone_states,
    make_questions,
    plain_inputs,
)
from tests.sampling.tiny import row_texts, row_vectors, sample_in_batches, word_ids

SETTINGS = SamplingSettings(num_answers=4, max_new_tokens=6)
LAYERS = [0, 1]


def make_sampler(name, settings=SETTINGS, **options):
    model, encoder = family(name)
    prompt = PromptSettings() if name in VISION_LANGUAGE else PromptSettings(template="{question}")
    return HuggingFaceSampler(model, encoder, settings, **{"layers": LAYERS, "prompt": prompt, **options})


@pytest.fixture(params=FAMILIES)
def name(request):
    return request.param


@pytest.fixture
def questions(name, tmp_path):
    return make_questions(tmp_path, images=name in VISION_LANGUAGE)


def plain_generate(name, question, **options):
    model, encoder = family(name)
    inputs = plain_inputs(question, encoder)
    new = model.generate(**inputs, max_new_tokens=6, **options)[:, inputs["input_ids"].shape[1] :]
    return [text.strip() for text in make_sampler(name).tokenizer.batch_decode(new, skip_special_tokens=True)]


def test_greedy_equals_plain_generate(name, questions):
    greedy = [sampled.record.greedy for sampled in make_sampler(name).sample(questions)]
    assert greedy == [plain_generate(name, question, do_sample=False)[0] for question in questions]
    assert len(set(greedy)) > 1


def test_vectors_equal_the_hidden_states_of_a_lone_forward(name, questions):
    model, encoder = family(name)
    for question, sampled in zip(questions, make_sampler(name).sample(questions), strict=True):
        inputs = plain_inputs(question, encoder)
        for row, text in enumerate(row_texts(sampled)):
            states = lone_states(model, inputs, word_ids(text))
            for layer in LAYERS:
                torch.testing.assert_close(row_vectors(sampled, layer)[row], states[layer], atol=2e-5, rtol=2e-5)


def test_answers_that_differ_have_vectors_that_differ(name, questions):
    sampler = make_sampler(name, SamplingSettings(num_answers=8, max_new_tokens=6))
    most = 0
    for sampled in sampler.sample(questions):
        vectors, _ = sampled.vectors[1]
        distinct = len({tuple(vector.tolist()) for vector in (1e3 * vectors).round()})
        assert distinct == len(set(sampled.record.answers))
        most = max(most, distinct)
    assert most == 8


def test_nothing_depends_on_the_questions_beside_it(name, questions):
    sampler = make_sampler(name)
    alone = sample_in_batches(sampler, questions, 1)
    for one, other in zip(alone, sampler.sample(questions), strict=True):
        assert row_texts(one) == row_texts(other)
        assert one.record.logprobs == pytest.approx(other.record.logprobs, abs=1e-4)
        torch.testing.assert_close(row_vectors(one, 1), row_vectors(other, 1), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize(
    "way", [{"share_prompts": lambda *args: None}, {"prefill_once": lambda *args: None}], ids=["repeated", "plain"]
)
def test_the_slower_ways_give_the_same(name, questions, monkeypatch, way):
    sampler = make_sampler(name)
    shared = sampler.sample(questions)
    for function, stub in way.items():
        monkeypatch.setattr(decoding, function, stub)
    for one, other in zip(shared, sampler.sample(questions), strict=True):
        assert row_texts(one) == row_texts(other)
        torch.testing.assert_close(row_vectors(one, 1), row_vectors(other, 1), atol=2e-5, rtol=2e-5)


def test_every_family_shares_its_prompts(name, questions, monkeypatch):
    caches = []
    share = decoding.share_prompts
    monkeypatch.setattr(decoding, "share_prompts", lambda *args: caches.append(share(*args)) or caches[-1])
    make_sampler(name).sample(questions)
    (cache,) = caches
    # The prompts are there once, and beside them one key for each row and step: 5 questions of 5 rows, 7 forwards.
    assert [layer.prompt_keys.shape[0] for layer in cache.layers] == [5, 5, 5]
    assert all(layer.keys.shape[0] == 25 and layer.keys.shape[2] <= 7 for layer in cache.layers)


def test_the_length_of_a_prompt_is_known_without_encoding_it(name, questions):
    sampler, encoder = make_sampler(name), family(name)[1]
    lengths = [plain_inputs(question, encoder)["input_ids"].shape[1] for question in questions]
    assert [sampler.prompt_length(question) for question in questions] == lengths
    assert len(set(lengths)) > 2


# Of Qwen2.5, transformers rebuilds the tokenizer as Qwen2's own class, which the tiny one is not.
@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "qwen2.5"], indirect=True)
def test_a_folder_gives_the_same(name, questions, tmp_path, monkeypatch):
    model, encoder = family(name)
    # The bias of the tiny models' head is no part of any of the classes.
    monkeypatch.setitem(model.lm_head._parameters, "bias", None)
    model.save_pretrained(tmp_path / "model")
    save_encoder(name, encoder, tmp_path / "model")
    direct = make_sampler(name)
    loaded = HuggingFaceSampler.from_pretrained(
        str(tmp_path / "model"), device="cpu", settings=SETTINGS, layers=LAYERS, prompt=direct.prompt
    )
    assert type(loaded.model) is type(model)
    for one, other in zip(direct.sample(questions), loaded.sample(questions), strict=True):
        assert row_texts(one) == row_texts(other)
        torch.testing.assert_close(row_vectors(one, 1), row_vectors(other, 1), atol=1e-5, rtol=1e-5)


def save_encoder(name, encoder, folder):
    if name != "qwen2.5-vl":
        encoder.save_pretrained(folder)
        return
    # Without a video processor, processors do not save themselves; on the hub, Qwen's lies in such parts as well.
    encoder.image_processor.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(encoder.chat_template)
