"""Ask a model for N sampled answers and the greedy one, and record hidden states."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from sgpu_lightning.cli.parser import run_function
from sgpu_lightning.errors import SamplingError
from sgpu_lightning.sampling.sampling_settings import SamplingSettings
from sgpu_lightning.sampling.server.server_settings import DEFAULT_KEY_ENV, ApiSettings
from sgpu_lightning.tasks.prompt_settings import PromptSettings


def sample(
    *,
    model: str,
    task: str,
    out: Path,
    task_path: Path | None = None,
    split: str | None = None,
    layers: list[int] | None = None,
    token: Literal["last", "mean"] = "last",
    sampling: SamplingSettings = SamplingSettings(),
    prompt: PromptSettings = PromptSettings(),
    batch_size: int = 8,
    on_error: Literal["raise", "skip"] = "skip",
    limit: int | None = None,
    device: str = "auto",
    dtype: str = "auto",
    vector_dtype: Literal["float16", "float32"] = "float32",
    revision: str | None = None,
    trust_remote_code: bool = False,
    model_options: dict[str, Any] | None = None,
    api: str | None = None,
    api_key_env: str = DEFAULT_KEY_ENV,
    server: ApiSettings = ApiSettings(),
) -> None:
    """Ask a language model for N sampled answers and the greedy one, and record hidden states.

    The run resumes where an earlier one with the same settings stopped. Under torchrun or accelerate launch each
    process takes its part of the questions. The exit status is 1 if questions are left without answers.

    Args:
        model: A language or vision-language model: hub id, or folder written by ``save_pretrained``; with ``api`` the
            server's name for the model.
        task: A .jsonl or .jsonl.gz file of questions (keys ``id``, ``question``, and optionally ``gold``,
            ``context``, ``image``, ``group``), or the name of a task: triviaqa, nq_open, squad, vqav2, okvqa, vizwiz,
            cifar100, imagenet.
        out: The store's folder.
        task_path: Folder or file to read a benchmark from; null for the hub.
        split: Split of a benchmark; null for the one that the task names.
        layers: Decoder blocks to record, counted from 0, negative from the end; null for the middle one, [] for none.
        token: Hidden state recorded for each answer: of the ``last`` answer token, or the ``mean`` over its tokens.
        sampling: Settings of sampling.
        prompt: Settings of the prompt. A named task has its own template, which is used unless one is given here.
        batch_size: Number of questions generated for at a time, each with N + 1 rows; it is reduced when memory runs
            out.
        on_error: What to do if a question gets no answers: ``skip`` records the reason and continues, ``raise`` stops.
            The next run asks the question again.
        limit: Number of questions to ask, from the first one on; null for all.
        device: ``auto`` or a torch device.
        dtype: The model's number format: ``auto`` (the model's own), ``float32``, ``bfloat16`` or ``float16``.
        vector_dtype: Number format in which hidden states are stored.
        revision: Branch, tag or commit of a hub id; null for its main branch.
        trust_remote_code: Whether to run code that comes with the model.
        model_options: Further arguments of the model's ``from_pretrained``, for example '{"device_map": "auto"}', which
            spreads a large model over several devices.
        api: Ask a server that speaks OpenAI's protocol (vLLM, TGI, Ollama, llama.cpp, vendors) instead of loading the
            model: the base URL of its API, for example http://127.0.0.1:8000/v1. No hidden states are recorded.
        api_key_env: Name of the environment variable that holds the server's key.
        server: Settings of the requests to the server.
    """
    from sgpu_lightning.console import say
    from sgpu_lightning.sampling.launch import Launch
    from sgpu_lightning.sampling.local.huggingface import HuggingFaceSampler
    from sgpu_lightning.sampling.run import failure_summary, failures_among, sample_to_store
    from sgpu_lightning.sampling.server.api_sampler import ApiSampler
    from sgpu_lightning.sampling.server.client import ApiClient
    from sgpu_lightning.tasks import find_task, load_task, task_prompt

    asked = find_task(task)
    prompt = task_prompt(asked, prompt)
    questions = load_task(task, path=task_path, split=split, limit=limit)
    sampler: HuggingFaceSampler | ApiSampler
    if api is not None:
        local = {
            "layers": layers,
            "revision": revision,
            "device": device,
            "dtype": dtype,
            "model_options": model_options,
        }
        _refuse_with_api({name: value for name, value in local.items() if value not in (None, [], {}, "auto")})
        client = ApiClient(api, model, server, api_key_env=api_key_env)
        sampler = ApiSampler(client, sampling, prompt=prompt)
    else:
        sampler = HuggingFaceSampler.from_pretrained(
            model,
            device=device,
            dtype=dtype,
            revision=revision,
            trust_remote_code=trust_remote_code,
            model_options=model_options,
            settings=sampling,
            prompt=prompt,
            layers=layers,
            token=token,
            batch_size=batch_size,
        )
    store = sample_to_store(
        sampler, questions, out, task=asked.name, grader=asked.grader, dtype=vector_dtype, on_error=on_error
    )
    if not Launch.of_this_process().is_main:
        return
    kinds = ", ".join(store.vector_specs) or "none"
    say(f"{len(store.ids())} answer sets are in {out}; hidden states: {kinds}")
    if isinstance(sampler, ApiSampler):
        say(sampler.client.usage.summary(server.input_price, server.output_price))
    if failures := failures_among(store, questions):
        raise SamplingError(failure_summary(failures, len(questions), out))


def _refuse_with_api(local: dict[str, object]) -> None:
    for name, value in local.items():
        raise SamplingError(f"{name}: expected nothing with --api, got {value!r}: it is for models loaded here")


def run(args: list[str]) -> None:
    """Parse and run."""
    run_function(sample, "sample", args)
