"""Sample a whole task into a store, going on where an earlier run stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sgpu_lightning.answers.store import AnswerStore, StoreError
from sgpu_lightning.answers.vectors import VectorDtype, VectorShard, VectorSpec
from sgpu_lightning.sampling.huggingface import HuggingFaceSampler
from sgpu_lightning.sampling.sampled import Sampled
from sgpu_lightning.tasks.question import Question

SHARD_SIZE = 128  # questions between two writes: what a killed run loses at most


def sample_to_store(
    sampler: HuggingFaceSampler,
    questions: Sequence[Question],
    out: Path,
    *,
    task: str = "",
    grader: str | None = None,
    batch_size: int = 8,
    dtype: VectorDtype = "float32",
    progress: bool = True,
) -> AnswerStore:
    """Ask every question that the store does not have yet.

    Args:
        sampler: Who is asked, and how.
        questions: With unique ids.
        out: The store's folder.
        task: Name of the task; the records' ``dataset``.
        grader: Name of the grader that fits it, kept in the manifest: what the store is graded by unless told
            otherwise.
        batch_size: Questions at a time; each takes N + 1 rows.
        dtype: How hidden states are stored.
        progress: Whether to show a progress bar.

    Returns:
        The store, with all questions answered.

    Raises:
        StoreError: If the store was made with another model or other settings, or holds other questions of the
            same ids.
    """
    source = {"kind": "sample", "task": task, "vector_dtype": dtype} | sampler.describe()
    store = AnswerStore.create(out, source | ({"grader": grader} if grader else {}))
    known = {record.id: (record.question, record.gold) for record in store.records()}
    for question in questions:
        if known.get(question.id, (question.question, question.gold)) != (question.question, question.gold):
            raise StoreError(
                f"{out}: question '{question.id}' is there with another text or other gold answers; "
                "sample the changed task into another store"
            )
    todo = [question for question in questions if question.id not in known]
    with _progress(sampler.model_name, disable=not progress) as bar:
        step = bar.add_task("sample", total=len(questions), completed=len(questions) - len(todo))
        for start in range(0, len(todo), SHARD_SIZE):
            sampled: list[Sampled] = []
            shard = todo[start : start + SHARD_SIZE]
            for low in range(0, len(shard), batch_size):
                batch = sampler.sample(shard[low : low + batch_size])
                sampled += batch
                bar.advance(step, len(batch))
            _append(store, sampler, sampled, task, dtype)
    return store


def _append(
    store: AnswerStore, sampler: HuggingFaceSampler, sampled: Sequence[Sampled], task: str, dtype: VectorDtype
) -> None:
    records = [replace(one.record, dataset=task) for one in sampled]
    shards: dict[str, VectorShard] = {}
    for layer in sampler.layers:
        pairs = [one.vectors[layer] for one in sampled]
        shard = VectorShard.stack([answers.numpy() for answers, _ in pairs], [greedy.numpy() for _, greedy in pairs])
        spec = _spec(sampler, layer, shard)
        store.add_vector_set(spec)
        shards[spec.name] = shard
    store.append(records, shards, dtype)


def _spec(sampler: HuggingFaceSampler, layer: int, shard: VectorShard) -> VectorSpec:
    return VectorSpec(
        kind="hidden",
        source=sampler.model_name,
        revision=sampler.revision,
        dim=shard.scored.shape[1],
        layer=layer,
        num_layers=sampler.num_layers,
        token=sampler.token,
    )


def _progress(model: str, *, disable: bool) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(f"sample {model}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, disable=disable)
