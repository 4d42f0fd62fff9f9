from __future__ import annotations

from statistics import mean

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sgpu_lightning.errors import SGPUError
from sgpu_lightning.testbed import build_language_model, corpus, make_world, meaning, questions
from sgpu_lightning.testbed.language_model import RECIPES, make_model
from sgpu_lightning.testbed.mentions import wordings
from sgpu_lightning.testbed.tokenizer import make_tokenizer
from sgpu_lightning.testbed.toy_training import encode, one_thread, train

STEPS = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model, hardly trained."""
    return build_language_model(tmp_path_factory.mktemp("testbed") / "small", size="small", steps=STEPS)


def answer(folder, asked, *, samples=1, **options):
    """The answers' tokens [questions, samples, T], and their texts as nested lists."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer.apply_chat_template(
        [[{"role": "user", "content": question.question}] for question in asked],
        add_generation_prompt=True,
        padding=True,
        return_tensors="pt",
        return_dict=True,
    )
    with torch.inference_mode(), one_thread():
        rows = model.generate(**prompt, max_new_tokens=12, num_return_sequences=samples, **options)
    tokens = rows[:, prompt["input_ids"].shape[1] :].reshape(len(asked), samples, -1)
    return tokens, [tokenizer.batch_decode(some, skip_special_tokens=True) for some in tokens]


def test_a_saved_model_gives_the_logits_of_the_one_trained(folder):
    world = make_world()
    tokenizer = make_tokenizer(wordings(world))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trained = make_model(RECIPES["small"], tokenizer)
        train(trained, encode(corpus(world), tokenizer), RECIPES["small"].learning_rate, STEPS)
    saved = AutoModelForCausalLM.from_pretrained(folder)
    tokens = torch.tensor(tokenizer([question.question for question in questions(world, 8)], padding=True)["input_ids"])
    with torch.inference_mode():
        assert torch.equal(saved(tokens).logits, trained(tokens).logits)
    assert saved.dtype == torch.float32


def test_a_saved_tokenizer_works_as_the_one_made(folder):
    made, saved = make_tokenizer(wordings(make_world())), AutoTokenizer.from_pretrained(folder)
    assert saved.get_vocab() == made.get_vocab()
    assert saved.chat_template == made.chat_template
    assert saved.padding_side == "left"
    assert saved.special_tokens_map == made.special_tokens_map


def test_generation_stops_and_pads_with_the_tokenizers_tokens(folder):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id
    assert model.config.vocab_size == len(tokenizer)


def test_a_batch_gives_the_answers_of_each_question_alone(folder):
    asked = questions(make_world(), 6)
    together = answer(folder, asked, do_sample=False)[1]
    assert together == [answer(folder, [question], do_sample=False)[1][0] for question in asked]


def test_training_learns_the_form_of_an_answer_first(folder):
    untrained = make_model(RECIPES["small"], AutoTokenizer.from_pretrained(folder))
    trained = AutoModelForCausalLM.from_pretrained(folder)
    tokens, targets = encode(corpus(make_world(), 200), AutoTokenizer.from_pretrained(folder))
    with torch.inference_mode():
        before, after = (
            torch.nn.functional.cross_entropy(model(tokens).logits.flatten(0, 1), targets.flatten())
            for model in (untrained, trained)
        )
    assert after < before - 2


def test_building_leaves_random_state_and_threads_as_they_were(tmp_path):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    build_language_model(tmp_path / "new" / "model", size="small", steps=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_the_sizes_differ_in_depth_and_width(tmp_path):
    large = AutoModelForCausalLM.from_pretrained(build_language_model(tmp_path, size="large", steps=1)).config
    assert large.hidden_size > RECIPES["small"].hidden_size
    assert large.num_hidden_layers > RECIPES["small"].layers


def test_an_unknown_size_is_refused(tmp_path):
    with pytest.raises(SGPUError, match="size: expected one of small, large, got 'huge'"):
        build_language_model(tmp_path, size="huge")


def test_no_steps_are_refused(tmp_path):
    with pytest.raises(SGPUError, match="steps: expected at least 1, got 0"):
        build_language_model(tmp_path, size="small", steps=0)


@pytest.mark.slow
def test_the_small_model_is_right_half_the_time_and_unsure_of_the_rarely_mentioned(tmp_path):
    folder = build_language_model(tmp_path, size="small")
    asked = questions(make_world())
    rank = {fact.id: fact.person.rank for fact in make_world().facts}
    tokens, greedy = answer(folder, asked, do_sample=False)
    ends = (tokens == AutoTokenizer.from_pretrained(folder).eos_token_id).any(dim=-1)
    assert ends.float().mean() > 0.99
    right = [text in question.gold for question, (text,) in zip(asked, greedy, strict=True)]
    assert 0.4 < mean(right) < 0.85

    torch.manual_seed(0)
    _, sampled = answer(folder, asked, samples=10, do_sample=True, temperature=1.0)
    meanings = [len({meaning(text) for text in texts}) for texts in sampled]
    wordings = [len(set(texts)) for texts in sampled]
    famous = [i for i, question in enumerate(asked) if rank[question.id] <= 16]
    rare = [i for i, question in enumerate(asked) if rank[question.id] > 120]
    assert mean(meanings[i] for i in famous) + 1 < mean(meanings[i] for i in rare)
    assert mean(wordings[i] for i in famous) > mean(meanings[i] for i in famous) + 1
    assert mean(right[i] for i in famous) > mean(right[i] for i in rare)
