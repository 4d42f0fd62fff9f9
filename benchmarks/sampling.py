"""Greedy and ten sampled answers against plain `generate`: long prompts, an image, and the cost of recording."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from benchmarks.recording import bytes_of
from benchmarks.rows import Row
from benchmarks.sampling_models import ANSWERS, LLAMA_3_8B, NEW_TOKENS, SMALL, Setting, llama, llava, on_gpu, qwen_vl
from benchmarks.timing import Seconds, interleaved, summary, times_slower

ROUNDS = 5
FASTER = {512: 4.0, 2048: 7.0}
FASTER_WITH_IMAGE = 5.0
COST, SLOWER, MEMORY_RATIO = 2.2, 1.05, 0.01


def measure(variants: dict[str, Callable[[], object]]) -> Seconds:
    """Time all variants in interleaved rounds, after one warm-up round."""
    interleaved(variants, 1)
    return interleaved(variants, ROUNDS)


def speed_rows(setting: Setting, at_least: float, at_most: float | None) -> list[Row]:
    """Measure the speed-up over two plain calls, and the cost relative to the greedy answer alone."""
    sampler = setting.sampler([])
    seconds = measure(
        {
            "plain": setting.greedy_and_sampled,
            "greedy": setting.greedy,
            "sampler": lambda: sampler.sample([setting.question]),
        }
    )
    typical = {name: median(values) for name, values in seconds.items()}
    kind = "token prompt" if setting.question.image is None else "image tokens"
    what = f"{setting.name}, {setting.tokens} {kind}"
    note = f"medians {typical['sampler']:.3f} s against {{:.3f}} s; median ratio of {ROUNDS} interleaved rounds"
    return [
        Row(
            what=f"greedy + {ANSWERS} samples of {NEW_TOKENS} tokens, times faster than plain `generate`: {what}",
            value=times_slower(seconds, "plain", "sampler"),
            unit="x",
            at_least=at_least,
            note=note.format(typical["plain"]),
            details=summary(seconds),
        ),
        Row(
            what=f"cost of greedy + {ANSWERS} samples over greedy alone: {what}",
            value=times_slower(seconds, "sampler", "greedy"),
            unit="x",
            at_most=at_most,
            note=note.format(typical["greedy"]),
        ),
    ]


def recording_rows(setting: Setting) -> list[Row]:
    """Measure what recording one layer adds in time, and its memory as a proportion of all hidden states."""
    layer = setting.sampler([]).num_layers // 2
    recording = setting.sampler([layer])
    samplers = {"recording": recording, "plain": setting.sampler([]), "one_more": setting.sampler([], NEW_TOKENS + 1)}
    seconds = measure({name: lambda s=s: s.sample([setting.question]) for name, s in samplers.items()})
    typical = {name: median(values) for name, values in seconds.items()}
    kept = bytes_of(recording._recorder)
    options = {"do_sample": True, "top_k": 0, "num_return_sequences": ANSWERS + 1}
    theirs = bytes_of(setting.plain(output_hidden_states=True, return_dict_in_generate=True, **options).hidden_states)
    what = f"{setting.name}, {setting.tokens} tokens"
    return [
        Row(
            what=f"recording one layer against none, same number of steps: {what}",
            value=times_slower(seconds, "recording", "one_more"),
            unit="x",
            at_most=SLOWER,
            note=f"medians {typical['recording']:.3f} s against {typical['one_more']:.3f} s, {NEW_TOKENS + 1} steps",
            details=summary(seconds),
        ),
        Row(
            what=f"the same, same length of answers, all truncated at the limit: {what}",
            value=times_slower(seconds, "recording", "plain"),
            unit="x",
            note=f"{NEW_TOKENS + 1} steps against {NEW_TOKENS}: the last token of a truncated answer has a state only "
            "after one more step; if all answers end before the limit, no step is added",
        ),
        Row(
            what=f"memory of the recorder as a proportion of `output_hidden_states=True`: {what}",
            value=kept / theirs,
            at_most=MEMORY_RATIO,
            note=f"bytes of all tensors kept after the last step, {kept:,} against {theirs:,}",
        ),
    ]


def run() -> list[Row]:
    """Measure small models on the CPU, and large models if there is a GPU."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        short, long = llama("Llama, 8 layers x 512", [512, 2048], **SMALL)
        rows = speed_rows(short, FASTER[512], COST) + speed_rows(long, FASTER[2048], None)
        rows += speed_rows(llava(Path(folder)), FASTER_WITH_IMAGE, None) + recording_rows(short)
        if torch.cuda.is_available():
            rows += gpu_rows(Path(folder))
    return rows


def gpu_rows(folder: Path) -> list[Row]:
    """Measure models of 7 and 8 billion random weights in bfloat16 on the GPU."""
    gpu = torch.cuda.get_device_name()
    with on_gpu():
        short, long = llama(f"Llama-3-8B-shaped on {gpu}", [512, 2048], **LLAMA_3_8B)
    rows = speed_rows(short, FASTER[512], None) + speed_rows(long, FASTER[2048], None) + recording_rows(short)
    del short, long
    torch.cuda.empty_cache()
    with on_gpu():
        short, long = qwen_vl(f"Qwen2.5-VL-7B-shaped on {gpu}", folder, [512, 2048])
    return rows + speed_rows(short, FASTER[512], None) + speed_rows(long, FASTER[2048], None) + recording_rows(short)
