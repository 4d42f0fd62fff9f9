"""``sgpu sample``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from jsonargparse import auto_cli

from sgpu_lightning.sampling.prompt import PromptSettings
from sgpu_lightning.sampling.settings import SamplingSettings


def sample(
    *,
    model: str,
    task: str,
    out: Path,
    layers: list[int] | None = None,
    token: Literal["last", "mean"] = "last",
    sampling: SamplingSettings = SamplingSettings(),
    prompt: PromptSettings = PromptSettings(),
    batch_size: int = 8,
    limit: int | None = None,
    device: str = "auto",
    dtype: str = "auto",
    vector_dtype: Literal["float16", "float32"] = "float32",
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> None:
    """Ask a language model: N sampled answers and the greedy one, hidden states recorded.

    The run goes on where an earlier one with the same settings stopped.

    Args:
        model: A language or vision-language model: hub id, or folder written by ``save_pretrained``.
        task: A .jsonl or .jsonl.gz file of questions (keys ``id``, ``question``, and optionally ``gold``,
            ``context``, ``image``, ``group``), or the name of a registered task.
        out: The store's folder.
        layers: Decoder blocks to record, from 0, negative from the end; null for the middle one, [] for none.
        token: ``last`` answer token's hidden state, or their ``mean``.
        sampling: How answers are drawn.
        prompt: How a question is put to the model.
        batch_size: Questions at a time; each takes N + 1 rows.
        limit: Ask only the first so many questions.
        device: ``auto`` or a torch device.
        dtype: ``auto`` (the model's own), ``float32``, ``bfloat16`` or ``float16``.
        vector_dtype: How hidden states are stored.
        revision: Branch, tag or commit of a hub id.
        trust_remote_code: Whether to run code that comes with the model.
    """
    from rich import print as show

    from sgpu_lightning.sampling.huggingface import HuggingFaceSampler
    from sgpu_lightning.sampling.run import sample_to_store
    from sgpu_lightning.tasks import load_task

    questions = load_task(task)[:limit]
    sampler = HuggingFaceSampler.from_pretrained(
        model,
        device=device,
        dtype=dtype,
        revision=revision,
        trust_remote_code=trust_remote_code,
        settings=sampling,
        prompt=prompt,
        layers=layers,
        token=token,
    )
    name = Path(task).name.split(".")[0]
    store = sample_to_store(sampler, questions, out, task=name, batch_size=batch_size, dtype=vector_dtype)
    kinds = ", ".join(store.vector_specs) or "none"
    show(f"{len(store.ids())} answer sets are in {out}; hidden states: {kinds}")


def run(args: list[str]) -> None:
    """Parse and run."""
    auto_cli(sample, args=args[1:], prog="sgpu sample")
