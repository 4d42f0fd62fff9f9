import json
import math
import re

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertLMHeadModel, LlamaModel, T5Config, T5ForConditionalGeneration

from sgpu_lightning.sampling import HuggingFaceSampler, PromptSettings, SamplingSettings
from sgpu_lightning.sampling.local.loading import pick_device
from sgpu_lightning.tasks.question import Question
from tests.sampling.tiny import (
    EOS,
    PLAIN,
    make_llama,
    make_questions,
    make_tokenizer,
    prompt_ids,
    reference_logprob,
    row_texts,
    row_vectors,
    sample_in_batches,
    word_ids,
)

SETTINGS = SamplingSettings(num_answers=3, max_new_tokens=6)


def make_sampler(model=None, settings=SETTINGS, tokenizer=None, **options):
    options = {"prompt": PLAIN, **options}
    return HuggingFaceSampler(model or make_llama(3.0), tokenizer or make_tokenizer(), settings, **options)


def test_results_do_not_depend_on_the_rest_of_the_batch():
    sampler = make_sampler(layers=[0, 2])
    questions = make_questions(8)
    alone = sample_in_batches(sampler, questions, 1)
    for size in (3, 8):
        for one, other in zip(alone, sample_in_batches(sampler, questions, size), strict=True):
            assert row_texts(one) == row_texts(other)
            assert one.record.meta["answer_tokens"] == other.record.meta["answer_tokens"]
            assert one.record.logprobs == pytest.approx(other.record.logprobs, abs=1e-4)
            for layer in (0, 2):
                torch.testing.assert_close(row_vectors(one, layer), row_vectors(other, layer), atol=1e-5, rtol=1e-5)


def test_a_prompt_of_one_token_gives_the_same_without_the_shared_prefill():
    sampler = make_sampler()
    sampler.tokenizer._tokenizer.post_processor = None
    questions = [Question(id="short", question="w7"), *make_questions(3)]
    together = sampler.sample(questions)
    for one, other in zip(together, sample_in_batches(sampler, questions, 1), strict=True):
        assert row_texts(one) == row_texts(other)
        torch.testing.assert_close(row_vectors(one, 1), row_vectors(other, 1), atol=1e-5, rtol=1e-5)


def plain_greedy(model, question, max_new_tokens):
    ids = torch.tensor([prompt_ids(question)])
    new = model.generate(ids, do_sample=False, max_new_tokens=max_new_tokens)[0, ids.shape[1] :]
    return make_tokenizer().decode(new, skip_special_tokens=True).strip()


@pytest.mark.parametrize("options", [{}, {"repetition_penalty": 1.7}, {"suppress_tokens": list(range(4, 40))}])
def test_greedy_equals_plain_generate(options):
    model = make_llama(3.0)
    model.generation_config.update(**options)
    questions = make_questions(8)
    greedy = [sampled.record.greedy for sampled in make_sampler(model).sample(questions)]
    assert greedy == [plain_greedy(model, question, 6) for question in questions]


def test_logprobs_equal_a_lone_forward():
    model = make_llama(3.0)
    questions = make_questions(5)
    endings = set()
    for question, sampled in zip(questions, make_sampler(model).sample(questions), strict=True):
        record = sampled.record
        tokens = [record.meta["greedy_tokens"], *record.meta["answer_tokens"]]
        logprobs = [record.meta["greedy_logprob"], *record.logprobs]
        cut = 0
        for text, count, logprob in zip(row_texts(sampled), tokens, logprobs, strict=True):
            answer = word_ids(text)
            ended = count == len(answer) + 1
            cut += not ended
            endings.add(ended)
            expected = reference_logprob(model, prompt_ids(question), answer + [EOS] * ended)
            assert logprob == pytest.approx(expected, abs=1e-4)
        assert record.meta["cut"] == cut
    assert endings == {True, False}


def test_sampled_answers_depend_only_on_the_seed():
    questions = make_questions(4)
    settings = SamplingSettings(num_answers=3, max_new_tokens=6, seed=1)
    texts = [row_texts(sampled) for sampled in make_sampler(settings=settings).sample(questions)]
    torch.manual_seed(123)
    again = [row_texts(sampled) for sampled in make_sampler(settings=settings).sample(questions)]
    other = [row_texts(sampled) for sampled in make_sampler().sample(questions)]
    assert texts == again
    assert [t[0] for t in texts] == [t[0] for t in other]
    assert all(one[1:] != two[1:] for one, two in zip(texts, other, strict=True))


def test_more_answers_and_tokens_extend_the_earlier_ones():
    question = make_questions(1)
    few = make_sampler(make_llama()).sample(question)[0]
    more = SamplingSettings(num_answers=5, max_new_tokens=9)
    many = make_sampler(make_llama(), settings=more).sample(question)[0]
    for short, long in zip(row_texts(few), row_texts(many)[:4], strict=True):
        assert long.startswith(short)
        assert len(long) > len(short)


def test_the_end_token_may_be_a_list():
    model = make_llama()
    text = make_sampler(model).sample(make_questions(1))[0].record.greedy
    model.generation_config.eos_token_id = [EOS, word_ids(text)[2]]
    sampled = make_sampler(model).sample(make_questions(1))[0]
    assert sampled.record.greedy == " ".join(text.split()[:2])
    assert sampled.record.meta["greedy_tokens"] == 3


@pytest.mark.parametrize("config_eos", [EOS, None])
def test_a_tokenizer_without_padding_token_uses_the_end_token(config_eos):
    model = make_llama(3.0)
    model.generation_config.pad_token_id = None
    model.generation_config.eos_token_id = config_eos
    questions = make_questions(3)
    bare = make_sampler(model, tokenizer=make_tokenizer(pad_token=None))
    assert bare._config.pad_token_id == EOS
    assert list(map(row_texts, bare.sample(questions))) == list(map(row_texts, make_sampler().sample(questions)))


def test_model_and_tokenizer_are_not_changed():
    model, tokenizer = make_llama(), make_tokenizer()
    model.generation_config.update(temperature=0.3, top_k=7, do_sample=True, max_length=30)
    before = model.generation_config.to_dict()
    make_sampler(model, tokenizer=tokenizer).sample(make_questions(2))
    assert model.generation_config.to_dict() == before
    assert tokenizer.padding_side == make_tokenizer().padding_side


def test_the_models_own_sampling_defaults_are_ignored():
    model = make_llama(3.0)
    model.generation_config.update(
        temperature=0.01, top_k=1, top_p=0.1, min_p=0.5, do_sample=True, max_length=3, min_length=60, max_time=1e-9
    )
    questions = make_questions(2)
    assert list(map(row_texts, make_sampler(model).sample(questions))) == list(
        map(row_texts, make_sampler().sample(questions))
    )


def test_the_record_carries_the_question():
    question = Question(id="a", question="w5 w6", gold=("w7",), context="w8 w9", group="g")
    sampled = make_sampler(model_name="tiny").sample([question])[0]
    record = sampled.record
    assert (record.id, record.question, record.gold, record.context) == ("a", "w5 w6", ("w7",), "w8 w9")
    assert (record.group, record.model, record.modality, record.label) == ("g", "tiny", "text", None)
    assert len(record.answers) == len(record.logprobs) == 3
    assert json.loads(json.dumps(record.to_dict()))["meta"]["cut"] >= 0


def test_vectors_hold_only_their_own_question_on_the_cpu():
    answers, greedy = make_sampler(layers=[2]).sample(make_questions(4))[1].vectors[2]
    assert answers.shape == (3, 32)
    assert greedy.shape == (32,)
    assert answers.dtype == greedy.dtype == torch.float32
    assert answers.untyped_storage().nbytes() == 3 * 32 * 4


def test_without_layers_nothing_is_recorded_and_the_answers_are_the_same():
    questions = make_questions(3)
    bare = make_sampler(layers=[]).sample(questions)
    assert [sampled.vectors for sampled in bare] == [{}, {}, {}]
    assert list(map(row_texts, bare)) == list(map(row_texts, make_sampler().sample(questions)))


def test_no_questions_give_no_results():
    assert make_sampler().sample([]) == []


def test_describe_is_json_ready_and_names_the_layers_used():
    described = make_sampler(layers=[-1, 0], token="mean", model_name="tiny", revision="abc").describe()
    assert json.loads(json.dumps(described)) == {
        "model": "tiny",
        "revision": "abc",
        "dtype": "float32",
        "layers": [2, 0],
        "token": "mean",
        "settings": SETTINGS.to_dict(),
        "prompt": PLAIN.to_dict(),
    }


def test_from_pretrained_loads_a_folder(tmp_path):
    model = make_llama()
    # Llama has no bias in its head, which the tiny model has.
    model.lm_head.bias = None
    model.save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    loaded = HuggingFaceSampler.from_pretrained(
        str(tmp_path), device="cpu", dtype="float32", settings=SETTINGS, prompt=PLAIN, layers=[0]
    )
    questions = make_questions(2)
    assert list(map(row_texts, loaded.sample(questions))) == list(map(row_texts, make_sampler(model).sample(questions)))
    assert loaded.describe()["model"] == str(tmp_path)
    assert loaded.layers == (0,)


def test_from_pretrained_refuses_other_models(tmp_path):
    tiny_t5().save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"expected a causal language model or a vision-language model, got .* 't5'"):
        HuggingFaceSampler.from_pretrained(str(tmp_path))


def tiny_t5():
    return T5ForConditionalGeneration(
        T5Config(vocab_size=100, d_model=16, d_ff=16, num_layers=1, num_heads=2, d_kv=8, decoder_start_token_id=0)
    )


def tiny_bert(kind, **options):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return kind(BertConfig(vocab_size=100, **sizes, **options))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (tiny_t5, "T5ForConditionalGeneration: expected a causal language model, got an encoder-decoder model"),
        (lambda: LlamaModel(make_llama().config), "LlamaModel: .* got a model without a language-model head"),
        (lambda: tiny_bert(BertForMaskedLM), "BertForMaskedLM: .* got a model without a language-model head"),
        (lambda: tiny_bert(BertLMHeadModel, is_decoder=True), "BertLMHeadModel has no decoder layers"),
    ],
)
def test_models_that_are_not_causal_language_models_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make_sampler(make(), layers=[])


def test_beam_search_is_refused():
    model = make_llama()
    model.generation_config.num_beams = 4
    with pytest.raises(ValueError, match="num_beams: expected 1, got 4 in the model's generation config"):
        make_sampler(model)


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({"penalty_alpha": 0.6, "top_k": 4}, "contrastive search"),
        ({"prompt_lookup_num_tokens": 3}, "assisted generation"),
        ({"guidance_scale": 1.5}, "guidance"),
    ],
)
def test_other_ways_of_decoding_are_refused(options, asked):
    model = make_llama()
    model.generation_config.update(**options)
    with pytest.raises(ValueError, match=f"expected a generation config that decodes token by token, .* for {asked}"):
        make_sampler(model)


def test_ignored_stop_strings_give_a_warning():
    model = make_llama()
    model.generation_config.stop_strings = ["w9"]
    with pytest.warns(
        UserWarning,
        match=re.escape("the generation config's stop strings are ignored: ['w9']; answers may continue after them"),
    ):
        sampler = make_sampler(model)
    assert sampler.sample(make_questions(1))


def test_a_prompt_that_does_not_fit_is_refused():
    question = Question(id="long", question=" ".join(["w5"] * 122))
    message = "question 'long': expected at most 128 tokens, the context of tiny, got 123 of the prompt and up to 6 of"
    with pytest.raises(ValueError, match=message):
        make_sampler(model_name="tiny").sample([question])


def test_a_prompt_that_just_fits_is_accepted():
    assert make_sampler().sample([Question(id="long", question=" ".join(["w5"] * 121))])


def test_a_question_with_an_image_is_refused():
    with pytest.raises(ValueError, match="question 'a': expected text alone, got an image too"):
        make_sampler().sample([Question(id="a", question="w5", image="a.png")])


def test_scores_that_are_not_finite_are_refused():
    model = make_llama()
    with torch.no_grad():
        model.lm_head.bias[50] = math.nan
    with pytest.raises(ValueError, match="question 'q0': expected finite scores, got NaN or infinity"):
        make_sampler(model).sample(make_questions(1))


def test_an_empty_prompt_is_refused():
    tokenizer = make_tokenizer()
    tokenizer._tokenizer.post_processor = None
    with pytest.raises(ValueError, match="question 'a': expected a prompt of at least one token, got an empty one"):
        make_sampler(tokenizer=tokenizer).sample([Question(id="a", question="")])


def test_the_chat_template_is_used_where_there_is_one():
    tokenizer = make_tokenizer()
    tokenizer.chat_template = "{{ bos_token }} {% for m in messages %}{{ m.content }} {% endfor %}w9"
    chat = make_sampler(tokenizer=tokenizer, prompt=PromptSettings()).sample([Question(id="a", question="w5 w6")])
    plain = make_sampler().sample([Question(id="a", question="w5 w6 w9")])
    assert row_texts(chat[0]) == row_texts(plain[0])


def test_the_device_is_selected():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
