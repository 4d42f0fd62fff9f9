"""Cost of recording hidden states while sampling: time, and memory relative to `output_hidden_states`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from benchmarks.rows import Row
from benchmarks.timing import interleaved, summary, times_slower
from sgpu_lightning.sampling.local.huggingface import HuggingFaceSampler
from sgpu_lightning.sampling.sampling_settings import SamplingSettings
from sgpu_lightning.tasks.prompt_settings import PromptSettings
from sgpu_lightning.tasks.question import Question
from sgpu_lightning.testbed.tokenizer import make_tokenizer

LAYERS, WIDTH, VOCABULARY = 4, 256, 2000
QUESTIONS, ANSWERS, PROMPT_TOKENS, NEW_TOKENS = 4, 10, 128, 16
ROUNDS = 25
SLOWER = 1.05
MEMORY_RATIO = 1 / 20


def build() -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast, list[Question]]:
    """Build an untrained Llama that never ends an answer, so that every variant takes the same number of steps.

    Returns:
        The model, its tokenizer and the questions.
    """
    words = [f"word{i}" for i in range(VOCABULARY)]
    tokenizer = make_tokenizer(words)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=8,
        max_position_embeddings=256,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config).eval()
    model.generation_config.suppress_tokens = [tokenizer.eos_token_id]
    order = torch.randint(VOCABULARY, (QUESTIONS, PROMPT_TOKENS)).tolist()
    questions = [Question(id=f"q{i}", question=" ".join(words[j] for j in row)) for i, row in enumerate(order)]
    return model, tokenizer, questions


def sampler_of(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, layers: list[int], new_tokens: int
) -> HuggingFaceSampler:
    """Make the package's sampler with plain prompts."""
    settings = SamplingSettings(num_answers=ANSWERS, max_new_tokens=new_tokens)
    prompt = PromptSettings(style="plain", template="{question}")
    return HuggingFaceSampler(model, tokenizer, settings, layers=layers, prompt=prompt)


def tensors_in(found: object, seen: set[int] | None = None) -> Iterable[Tensor]:
    """Yield all tensors reachable from an object through containers and attributes, except those of models."""
    seen = set() if seen is None else seen
    if id(found) in seen or isinstance(found, nn.Module | str | int | float | None):
        return
    seen.add(id(found))
    if isinstance(found, Tensor):
        yield found
        return
    parts: Iterable[Any] = found if isinstance(found, tuple | list) else getattr(found, "__dict__", {}).values()
    for part in found.values() if isinstance(found, dict) else parts:
        yield from tensors_in(part, seen)


def bytes_of(found: object) -> int:
    """Count the bytes of the distinct storages of all tensors reachable from an object."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in tensors_in(found)}
    return sum(storage.nbytes() for storage in storages.values())


@torch.no_grad()
def kept_by_generate(model: LlamaForCausalLM, sampler: HuggingFaceSampler, questions: list[Question]) -> int:
    """Count the bytes of the hidden states that ``generate(..., output_hidden_states=True)`` returns for these rows."""
    texts = [question.question for question in questions]
    inputs = sampler.tokenizer(texts, return_tensors="pt", return_token_type_ids=False)
    given = model.generate(
        **inputs,
        do_sample=True,
        num_return_sequences=ANSWERS + 1,
        max_new_tokens=NEW_TOKENS,
        output_hidden_states=True,
        return_dict_in_generate=True,
    )
    return bytes_of(given.hidden_states)


def run() -> list[Row]:
    """Measure the time at equal numbers of steps, the time at equal answer lengths, and the memory."""
    model, tokenizer, questions = build()
    make = partial(sampler_of, model, tokenizer)
    recording = make([LAYERS // 2], NEW_TOKENS)
    samplers = {"recording": recording, "plain": make([], NEW_TOKENS), "plain_one_more": make([], NEW_TOKENS + 1)}
    variants = {name: partial(sampler.sample, questions) for name, sampler in samplers.items()}
    interleaved(variants, 2)
    seconds = interleaved(variants, ROUNDS)
    typical = {name: median(values) for name, values in seconds.items()}
    kept, theirs = bytes_of(recording._recorder), kept_by_generate(model, recording, questions)
    setting = (
        f"Llama of {LAYERS} layers x {WIDTH}; {QUESTIONS} questions x {ANSWERS + 1} rows, {PROMPT_TOKENS}-token prompts"
    )
    return [
        Row(
            what="sampling with one recorded layer against none, same number of steps",
            value=times_slower(seconds, "recording", "plain_one_more"),
            unit="x",
            at_most=SLOWER,
            note=f"{setting}; {NEW_TOKENS + 1} steps; median ratio of {ROUNDS} interleaved rounds; medians "
            f"{typical['recording']:.3f} s against {typical['plain_one_more']:.3f} s",
            details=summary(seconds),
        ),
        Row(
            what="the same, same length of answers, all truncated at the limit",
            value=times_slower(seconds, "recording", "plain"),
            unit="x",
            note=f"{NEW_TOKENS} new tokens; medians {typical['recording']:.3f} s against {typical['plain']:.3f} s; the "
            f"last token of a truncated answer has a state only after one more step, {NEW_TOKENS + 1} instead of "
            f"{NEW_TOKENS}; if all answers end before the limit, no step is added",
        ),
        Row(
            what="memory of the recorder as a proportion of `output_hidden_states=True`",
            value=kept / theirs,
            at_most=MEMORY_RATIO,
            note=f"bytes of all tensors kept after the last step, {kept:,} against {theirs:,}; counted, because the "
            "peak memory of such a small model is dominated by the allocator's noise",
            details={"recorder_bytes": kept, "generate_bytes": theirs},
        ),
    ]
