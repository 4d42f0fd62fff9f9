import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModelForCausalLM, Gemma2Config, GptOssConfig
from transformers.cache_utils import DynamicCache

from sgpu_lightning.sampling import HuggingFaceSampler, SamplingSettings
from sgpu_lightning.sampling.local import decoding, shared_prompt
from sgpu_lightning.sampling.local.shared_prompt import SharedPromptLayer, _attend, share_prompts, shared_attention
from tests.sampling.test_architectures import COMMON, SIZES, forward_shapes, make_model
from tests.sampling.tiny import (
    PLAIN,
    make_llama,
    make_questions,
    make_tokenizer,
    prompt_ids,
    row_texts,
    row_vectors,
)

PROMPTS, REPEATS, KEY_HEADS, GROUPS, PROMPT, WIDTH = 3, 4, 2, 2, 7, 8
ROWS = PROMPTS * REPEATS


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("own", [1, 3])
@pytest.mark.parametrize("scaling", [None, 0.1])
def test_it_equals_attention_over_the_concatenated_prompt_and_answer(masked, own, scaling):
    generator = torch.Generator().manual_seed(0)
    sizes = {"prompt": (PROMPTS, KEY_HEADS, PROMPT, WIDTH), "own": (ROWS, KEY_HEADS, own, WIDTH)}
    keys, values = ({name: torch.randn(size, generator=generator) for name, size in sizes.items()} for _ in range(2))
    query = torch.randn(ROWS, KEY_HEADS * GROUPS, 1, WIDTH, generator=generator)
    mask = torch.rand(ROWS, 1, 1, PROMPT + own, generator=generator) > 0.3 if masked else None
    layer = SharedPromptLayer(keys["prompt"], values["prompt"])
    given, _ = _attend(torch.nn.Identity(), query, *layer.update(keys["own"], values["own"]), mask, scaling=scaling)
    whole = [torch.cat([table["prompt"].repeat_interleave(REPEATS, 0), table["own"]], 2) for table in (keys, values)]
    expected = scaled_dot_product_attention(query, *whole, attn_mask=mask, scale=scaling, enable_gqa=True)
    torch.testing.assert_close(given, expected.transpose(1, 2), atol=1e-6, rtol=1e-5)


def sample_both_ways(model, monkeypatch):
    settings = SamplingSettings(num_answers=3, max_new_tokens=5)
    sampler = HuggingFaceSampler(model, make_tokenizer(), settings, prompt=PLAIN)
    shared = sampler.sample(make_questions(4))
    monkeypatch.setattr(decoding, "share_prompts", lambda *args: None)
    for one, other in zip(shared, sampler.sample(make_questions(4)), strict=True):
        assert row_texts(one) == row_texts(other)
        torch.testing.assert_close(row_vectors(one, 1), row_vectors(other, 1), atol=1e-5, rtol=1e-5)


def test_softcapped_scores_are_softcapped(monkeypatch):
    config = Gemma2Config(layer_types=["full_attention"] * 3, attn_logit_softcapping=0.5, head_dim=8, **SIZES, **COMMON)
    model = make_model(config)
    assert model.config._attn_implementation == "eager"
    calls = []
    attend = shared_prompt._attend
    monkeypatch.setattr(shared_prompt, "_attend", lambda *a, **k: calls.append(k["softcap"]) or attend(*a, **k))
    sample_both_ways(model, monkeypatch)
    assert set(calls) == {0.5}


def test_unsupported_attention_falls_back_to_a_repeated_cache(monkeypatch):
    # GPT-OSS has a learned attention sink in every head, which takes part in the softmax.
    config = GptOssConfig(
        layer_types=["full_attention"] * 3, num_local_experts=2, num_experts_per_tok=1, head_dim=8, **SIZES, **COMMON
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    questions = make_questions(3)
    settings = SamplingSettings(num_answers=3, max_new_tokens=5)
    sampler = HuggingFaceSampler(model, make_tokenizer(), settings, prompt=PLAIN)
    shapes = []
    handle = model.get_input_embeddings().register_forward_pre_hook(lambda _, args: shapes.append(tuple(args[0].shape)))
    texts = [sampled.record.greedy for sampled in sampler.sample(questions)]
    handle.remove()
    # The prompts once; the first step, which fails; and all steps again.
    assert [rows for rows, _ in shapes][:3] == [3, 12, 12]
    for question, text in zip(questions, texts, strict=True):
        ids = torch.tensor([prompt_ids(question)])
        new = model.generate(ids, do_sample=False, max_new_tokens=5)[0, ids.shape[1] :]
        assert make_tokenizer().decode(new, skip_special_tokens=True).strip() == text


def test_attention_that_ignores_the_prompt_is_detected():
    layer = SharedPromptLayer(torch.zeros(1, 1, 3, 4), torch.zeros(1, 1, 3, 4))
    layer.update(torch.zeros(2, 1, 1, 4), torch.zeros(2, 1, 1, 4))
    with pytest.raises(RuntimeError, match="the model's attention ignored the prompt"):
        layer.update(torch.zeros(2, 1, 1, 4), torch.zeros(2, 1, 1, 4))


def test_caches_of_a_sliding_window_are_not_shared():
    model = make_llama()
    cache = DynamicCache(config=model.config)
    assert share_prompts(model, cache) is None
    model(torch.tensor([[5, 6, 7]]), past_key_values=cache)
    assert share_prompts(model, cache).get_seq_length() == 3
    model.config._attn_implementation = "flex_attention"
    assert share_prompts(model, cache) is None


def test_the_model_is_not_changed():
    model = make_llama()
    seen = []

    def fail():
        seen.append(model.config._attn_implementation)
        raise KeyError

    with pytest.raises(KeyError), shared_attention(model):
        fail()
    assert seen == ["sgpu_shared_prompt"]
    assert model.config._attn_implementation == "sdpa"
    assert forward_shapes(model, make_questions(1))[-1] == (4, 1)
