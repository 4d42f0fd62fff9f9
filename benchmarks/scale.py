"""Speed-up from a second sampling process on two cores."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median

from benchmarks.rows import Row
from benchmarks.timing import Seconds, interleaved, summary, times_slower

LAYERS, WIDTH, VOCABULARY = 8, 512, 2000
QUESTIONS, ANSWERS, PROMPT_TOKENS, NEW_TOKENS, BATCH = 8, 10, 64, 8, 2
ROUNDS = 4
FASTER = 1.6
# number of processes and torch threads per process, by name
VARIANTS = {"two processes": (2, 1), "one process, one thread": (1, 1), "one process, two threads": (1, 2)}


def work(rank: int, world_size: int, threads: int, folder: str, start: Barrier, end: Barrier) -> None:
    """Run one process: load the model, then in every round sample its part of the questions between two barriers.

    Args:
        rank: Index of the process.
        world_size: Number of processes.
        threads: Number of torch threads.
        folder: Folder of the rounds' stores.
        start: Barrier at the start of a round.
        end: Barrier at the end of a round.
    """
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(world_size), "OMP_NUM_THREADS": str(threads)}
    import torch

    from sgpu_lightning.sampling.local.huggingface import HuggingFaceSampler
    from sgpu_lightning.sampling.run import sample_to_store
    from sgpu_lightning.sampling.sampling_settings import SamplingSettings
    from sgpu_lightning.tasks.prompt_settings import PromptSettings

    torch.set_num_threads(threads)
    model, tokenizer, questions = build()
    settings = SamplingSettings(num_answers=ANSWERS, max_new_tokens=NEW_TOKENS)
    prompt = PromptSettings(style="plain", template="{question}")
    sampler = HuggingFaceSampler(model, tokenizer, settings, prompt=prompt, batch_size=BATCH)
    sampler.sample(questions[:1])  # warm up
    for turn in range(ROUNDS):
        start.wait()
        sample_to_store(sampler, questions, Path(folder) / f"round{turn}", progress=False)
        end.wait()


def build() -> tuple:
    """Build an untrained Llama that never ends an answer, its tokenizer, and questions."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from sgpu_lightning.tasks.question import Question
    from sgpu_lightning.testbed.tokenizer import make_tokenizer

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
    return (
        model,
        tokenizer,
        [Question(id=f"q{i}", question=" ".join(words[j] for j in row)) for i, row in enumerate(order)],
    )


def measure(folder: str) -> Seconds:
    """Measure the seconds of each round of each variant.

    All processes load their models before the first round, and wait while the other variants work.
    """
    context = multiprocessing.get_context("spawn")
    workers, gates = [], {}
    for name, (processes, threads) in VARIANTS.items():
        gates[name] = context.Barrier(processes + 1), context.Barrier(processes + 1)
        for rank in range(processes):
            arguments = (rank, processes, threads, f"{folder}/{name}", *gates[name])
            workers.append(context.Process(target=work, args=arguments, daemon=True))
            workers[-1].start()

    def run_once(name: str) -> None:
        for gate in gates[name]:
            gate.wait(timeout=600)  # a process that failed never reaches the barrier

    seconds = interleaved({name: partial(run_once, name) for name in VARIANTS}, ROUNDS)
    for worker in workers:
        worker.join()
    return seconds


def run() -> list[Row]:
    """Measure two processes of one thread each, against one process of one thread and of two threads."""
    with tempfile.TemporaryDirectory() as folder:
        # The first round also waits for all processes to load, so it is left out.
        seconds = {name: values[1:] for name, values in measure(folder).items()}
    typical = {name: median(values) for name, values in seconds.items()}
    setting = (
        f"Llama of {LAYERS} layers x {WIDTH}; {QUESTIONS} questions x {ANSWERS + 1} rows of {NEW_TOKENS} tokens, "
        f"{PROMPT_TOKENS}-token prompts; without loading, including writing the store; median ratio of {ROUNDS - 1} "
        "interleaved rounds"
    )
    one, both = "one process, one thread", "one process, two threads"
    return [
        Row(
            what="two sampling processes against one, two cores, one thread each",
            value=times_slower(seconds, one, "two processes"),
            unit="x",
            at_least=FASTER,
            note=f"{setting}; medians {typical['two processes']:.2f} s against {typical[one]:.2f} s",
            details=summary(seconds),
        ),
        Row(
            what="the same, against one process of two threads",
            value=times_slower(seconds, both, "two processes"),
            unit="x",
            note=f"medians {typical['two processes']:.2f} s against {typical[both]:.2f} s",
        ),
    ]
