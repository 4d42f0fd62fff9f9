"""Other families: another name of the block list, learned positions, sliding windows, caches without keys or values."""

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, Lfm2Config, MambaConfig, MistralConfig

from sgpu_lightning.sampling import HuggingFaceSampler, SamplingSettings
from sgpu_lightning.sampling.local import decoding
from tests.sampling.tiny import (
    BOS,
    EOS,
    PAD,
    PLAIN,
    VOCABULARY,
    bias_scores,
    make_llama,
    make_questions,
    make_tokenizer,
    prompt_ids,
    reference_states,
    row_texts,
    row_vectors,
    sample_in_batches,
    word_ids,
)

COMMON = {"vocab_size": VOCABULARY, "pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "initializer_range": 0.15,
}
CONFIGS = {
    "blocks named h, learned positions": GPT2Config(n_embd=32, n_layer=3, n_head=4, n_positions=64, **COMMON),
    "sliding window": MistralConfig(sliding_window=4, head_dim=8, **SIZES, **COMMON),
    "convolutions": Lfm2Config(layer_types=["conv", "full_attention", "conv"], **SIZES, **COMMON),
    "state space": MambaConfig(hidden_size=32, num_hidden_layers=3, state_size=4, **COMMON),
}


def make_model(config):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    bias_scores(model, eos_bias=0.5)
    return model


@pytest.mark.parametrize("name", CONFIGS)
def test_answers_and_vectors_are_right_for_other_families(name):
    model = make_model(CONFIGS[name])
    settings = SamplingSettings(num_answers=3, max_new_tokens=5)
    sampler = HuggingFaceSampler(model, make_tokenizer(), settings, layers=[0, 1], prompt=PLAIN)
    questions = make_questions(5)
    # For Mamba, transformers counts the first block's output as hidden_states[0].
    shift = -1 if name == "state space" else 0
    together = sampler.sample(questions)
    for question, one, other in zip(questions, sample_in_batches(sampler, questions, 1), together, strict=True):
        ids = torch.tensor([prompt_ids(question)])
        plain = model.generate(ids, do_sample=False, max_new_tokens=5)[0, ids.shape[1] :]
        assert one.record.greedy == make_tokenizer().decode(plain, skip_special_tokens=True).strip()
        assert row_texts(one) == row_texts(other)
        for row, text in enumerate(row_texts(one)):
            expected = reference_states(model, prompt_ids(question), word_ids(text), [shift, 1 + shift])
            for layer, states in enumerate(expected):
                for sampled in (one, other):
                    torch.testing.assert_close(row_vectors(sampled, layer)[row], states[-1], atol=1e-5, rtol=1e-5)


def forward_shapes(model, batch):
    """The shape of the input of every forward."""
    shapes = []
    handle = model.get_input_embeddings().register_forward_pre_hook(lambda _, args: shapes.append(tuple(args[0].shape)))
    sampler = HuggingFaceSampler(
        model, make_tokenizer(), SamplingSettings(num_answers=3, max_new_tokens=2), prompt=PLAIN
    )
    sampler.sample(batch)
    handle.remove()
    return shapes


def test_each_prompt_is_read_once():
    batch = make_questions(2)
    longest = max(len(prompt_ids(question)) for question in batch)
    # First all tokens but the last, once; then one token per row: the prompt's last, the answer's first and second.
    assert forward_shapes(make_llama(), batch) == [(2, longest - 1), (8, 1), (8, 1), (8, 1)]


def test_each_prompt_is_read_in_every_row_where_the_model_keeps_no_cache():
    model = make_llama()
    model.generation_config.use_cache = False
    batch = make_questions(1)
    length = len(prompt_ids(batch[0]))
    shapes = forward_shapes(model, batch)
    assert shapes[-3:] == [(4, length), (4, length + 1), (4, length + 2)]


def test_reading_prompts_once_changes_nothing(monkeypatch):
    settings = SamplingSettings(num_answers=3, max_new_tokens=5)
    sampler = HuggingFaceSampler(make_llama(3.0), make_tokenizer(), settings, prompt=PLAIN)
    shared = sampler.sample(make_questions(4))
    monkeypatch.setattr(decoding, "prefill_once", lambda *args: None)
    for one, other in zip(shared, sampler.sample(make_questions(4)), strict=True):
        assert row_texts(one) == row_texts(other)
        torch.testing.assert_close(row_vectors(one, 1), row_vectors(other, 1), atol=1e-5, rtol=1e-5)
