"""Requirements on each of the six families, checked with tiny models of the same classes, with and without images."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from scipy.stats import chi2_contingency

from sgpu_lightning.sampling import HuggingFaceSampler, PromptSettings, SamplingSettings
from sgpu_lightning.sampling.local import decoding
from sgpu_lightning.sampling.recording.hooks import decoder_layers
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


def test_results_do_not_depend_on_the_rest_of_the_batch(name, questions):
    sampler = make_sampler(name)
    alone = sample_in_batches(sampler, questions, 1)
    for one, other in zip(alone, sampler.sample(questions), strict=True):
        assert row_texts(one) == row_texts(other)
        assert one.record.logprobs == pytest.approx(other.record.logprobs, abs=1e-4)
        torch.testing.assert_close(row_vectors(one, 1), row_vectors(other, 1), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize(
    "way", [{"share_prompts": lambda *args: None}, {"prefill_once": lambda *args: None}], ids=["repeated", "plain"]
)
def test_the_slower_code_paths_give_the_same_results(name, questions, monkeypatch, way):
    sampler = make_sampler(name)
    shared = sampler.sample(questions)
    for function, stub in way.items():
        monkeypatch.setattr(decoding, function, stub)
    for one, other in zip(shared, sampler.sample(questions), strict=True):
        assert row_texts(one) == row_texts(other)
        torch.testing.assert_close(row_vectors(one, 1), row_vectors(other, 1), atol=2e-5, rtol=2e-5)


def test_every_family_shares_the_prompts_between_rows(name, questions, monkeypatch):
    caches = []
    share = decoding.share_prompts
    monkeypatch.setattr(decoding, "share_prompts", lambda *args: caches.append(share(*args)) or caches[-1])
    make_sampler(name).sample(questions)
    (cache,) = caches
    # The prompts are stored once, and in addition one key per row and step: 5 questions of 5 rows, 7 forwards.
    assert [layer.prompt_keys.shape[0] for layer in cache.layers] == [5, 5, 5]
    assert all(layer.keys.shape[0] == 25 and layer.keys.shape[2] <= 7 for layer in cache.layers)


def test_the_length_of_a_prompt_is_known_without_encoding_it(name, questions):
    sampler, encoder = make_sampler(name), family(name)[1]
    lengths = [plain_inputs(question, encoder)["input_ids"].shape[1] for question in questions]
    assert [sampler.prompt_length(question) for question in questions] == lengths
    assert len(set(lengths)) > 2


# For Qwen2.5, transformers rebuilds the tokenizer as Qwen2's own class; the tiny tokenizer is of another class.
@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "qwen2.5"], indirect=True)
def test_a_model_loaded_from_a_folder_gives_the_same_results(name, questions, tmp_path, monkeypatch):
    model, encoder = family(name)
    # None of the classes has the bias that the tiny models' head has.
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
    # Processors without a video processor cannot save themselves; on the hub, Qwen's is stored in such parts as well.
    encoder.image_processor.save_pretrained(folder)
    encoder.tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(encoder.chat_template)


@pytest.mark.parametrize("name", VISION_LANGUAGE, indirect=True)
def test_answers_are_distributed_as_those_of_plain_generate(name, questions):
    torch.manual_seed(0)
    asked = questions[1]
    many = [replace(asked, id=str(i)) for i in range(8)]
    sampler = make_sampler(name, SamplingSettings(num_answers=200, max_new_tokens=2), layers=[])
    ours = [answer for sampled in sampler.sample(many) for answer in sampled.record.answers]
    model, encoder = family(name)
    inputs = plain_inputs(asked, encoder)

    def plain(temperature):
        options = {"do_sample": True, "top_k": 0, "num_return_sequences": 1600, "temperature": temperature}
        new = model.generate(**inputs, max_new_tokens=2, **options)[:, inputs["input_ids"].shape[1] :]
        return [text.strip() for text in sampler.tokenizer.batch_decode(new, skip_special_tokens=True)]

    assert same_distribution(ours, plain(1.0)) > 0.01
    # The test can tell another distribution.
    assert same_distribution(ours, plain(1.5)) < 1e-4


def same_distribution(one, other):
    """The p-value of a chi-square test that two lists of texts come from one distribution; rare texts are pooled."""
    counts = Counter(one), Counter(other)
    common = [text for text, count in (counts[0] + counts[1]).items() if count >= 20]
    assert len(common) > 10
    table = [[count[text] for text in common] for count in counts]
    rest = [sum(count.values()) - sum(row) for count, row in zip(counts, table, strict=True)]
    return chi2_contingency([[*row, n] for row, n in zip(table, rest, strict=True)]).pvalue


@pytest.mark.parametrize("name", FAMILIES, indirect=True)
def test_blocks_may_be_on_several_devices(name, questions, tmp_path, monkeypatch):
    # On a machine without a GPU, the CPU and the disk are the two devices. accelerate runs each block through a hook
    # that fetches its weights, as it does between GPUs, and the recorder's hooks run in addition.
    model, encoder = family(name)
    monkeypatch.setitem(model.lm_head._parameters, "bias", None)
    expected = make_sampler(name).sample(questions)
    model.save_pretrained(tmp_path / "model")
    blocks = next(path for path, module in model.named_modules() if module is decoder_layers(model))
    places = dict.fromkeys(submodules_beside(model, blocks), "cpu") | {f"{blocks}.{i}": "disk" for i in (0, 2)}
    split = type(model).from_pretrained(tmp_path / "model", device_map=places, offload_folder=tmp_path / "disk")
    assert {weight.device.type for weight in decoder_layers(split)[2].parameters()} == {"meta"}
    sampler = HuggingFaceSampler(split, encoder, SETTINGS, layers=[0, 1], prompt=make_sampler(name).prompt)
    for one, other in zip(expected, sampler.sample(questions), strict=True):
        assert row_texts(one) == row_texts(other)
        for layer in LAYERS:
            torch.testing.assert_close(row_vectors(one, layer), row_vectors(other, layer), atol=1e-5, rtol=1e-5)


def submodules_beside(model, path):
    """The paths of all submodules that do not contain the given one, beside the path to it."""
    steps = path.split(".")
    found = []
    for depth in range(len(steps) + 1):
        above = ".".join(steps[:depth])
        below = ".".join(steps[: depth + 1])
        children = [f"{above}.{name}" if above else name for name, _ in model.get_submodule(above).named_children()]
        found += [child for child in children if child != below or depth == len(steps)]
    return found
