"""The whole way on tiny models: train, sample, record, embed, fit, evaluate. Offline, in minutes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import torch

from sgpu_lightning.answers.grading import alias_match, label_of
from sgpu_lightning.answers.store import AnswerStore
from sgpu_lightning.datamodule import AnswerDataModule
from sgpu_lightning.embedding.embed import embed_store, load_encoder
from sgpu_lightning.sampling.huggingface import HuggingFaceSampler
from sgpu_lightning.sampling.run import sample_to_store
from sgpu_lightning.sampling.settings import SamplingSettings
from sgpu_lightning.spectrum import cosine_gram, eigenspectrum, gram
from sgpu_lightning.tasks import load_task
from sgpu_lightning.testbed.language import build_language_model
from sgpu_lightning.testbed.world import write_questions
from sgpu_lightning.training import Fitted, fit, metrics_table

if TYPE_CHECKING:
    from rich.console import Console

ModelSize = Literal["small", "large"]
_BATCH = 32  # questions at a time: the models are tiny
_MAX_NEW_TOKENS = 10  # the testbed's answers are shorter


def run_demo(
    out: Path, console: Console, *, questions: int | None = None, steps: int | None = None
) -> dict[str, Fitted]:
    """Train two models, and fit and evaluate white-box and black-box predictors of each.

    Args:
        out: Folder for models, answer stores and checkpoints; models and answers that are there are used again.
        console: Where to show what happens.
        questions: How many questions to ask; None for all of the toy world's.
        steps: Training steps of each model; None for the testbed's own.

    Returns:
        The fitted predictors, by model and setting.
    """
    task = write_questions(out / "questions.jsonl", count=questions)
    encoder = load_encoder("minilm")
    fitted: dict[str, Fitted] = {}
    for size in get_args(ModelSize):
        console.rule(f"{size} model")
        store = _answers(out, size, task, console, steps)
        labels = [label_of(record, alias_match) or 0 for record in store.records()]
        console.print(f"its greedy answers are right on {sum(labels) / len(labels):.0%} of {len(labels)} questions")
        embed_store(store, encoder)
        _show_examples(store, console)
        for setting, name in (("white-box", None), ("black-box", "minilm")):
            console.print(f"fit P(correct) of the {size} model, {setting}")
            data = AnswerDataModule(str(store.path), encoder=name)
            fitted[f"{size}, {setting}"] = fit(data, out=out / "fit" / f"{size}-{setting}")
    console.rule("P(correct) on questions held out from fitting")
    console.print(results(fitted))
    return fitted


def _answers(out: Path, size: ModelSize, task: Path, console: Console, steps: int | None) -> AnswerStore:
    folder = out / "models" / size
    if not (folder / "config.json").exists():
        console.print(f"train the {size} model from scratch on a toy world of people and their facts")
        build_language_model(folder, size=size, steps=steps)
    settings = SamplingSettings(max_new_tokens=_MAX_NEW_TOKENS)
    sampler = HuggingFaceSampler.from_pretrained(str(folder), device="cpu", settings=settings, batch_size=_BATCH)
    console.print(f"ask it; {settings.num_answers} answers and the greedy one, layer {sampler.layers[0]} recorded")
    return sample_to_store(sampler, load_task(str(task)), out / "answers" / size, task=task.stem)


def results(fitted: dict[str, Fitted]) -> object:
    """One table row for each predictor, on its test sets."""
    metrics = {name: one.metrics["test"] for name, one in fitted.items()}
    return metrics_table(metrics, {name: one.sizes["test"] for name, one in fitted.items()}, title="")


def _show_examples(store: AnswerStore, console: Console) -> None:
    """The question whose answers agree most, and the one where they agree least, among the first hundred."""
    records = store.read(store.shards[0])[:100]
    spectra = {
        "hidden states" if spec.kind == "hidden" else spec.source: _spectra(store, name, len(records))
        for name, spec in store.vector_specs.items()
    }
    largest = spectra["minilm"][:, 0]
    for which in (int(largest.argmax()), int(largest.argmin())):
        record = records[which]
        gold = record.gold[0] if record.gold else "?"
        console.print(f"  {record.question}  (right: {gold})", markup=False, highlight=False)
        answers = " | ".join(record.answers)
        console.print(f"    greedy: {record.greedy}; sampled: {answers}", markup=False, highlight=False)
        for source, rows in spectra.items():
            values = rows[which].tolist()
            numbers = " ".join(f"{value:.3f}" for value in values)
            console.print(f"    eigenvalues, {source:13} {_bars(values)}  {numbers}", markup=False, highlight=False)


def _spectra(store: AnswerStore, name: str, count: int) -> torch.Tensor:
    """Eigenspectra of the first ``count`` answer sets of the first shard, [count, N]."""
    shard = store.read_vectors(name, store.shards[0])
    answers = int(shard.counts[0])
    vectors = torch.from_numpy(shard.answers[: count * answers]).reshape(count, answers, -1)
    return eigenspectrum(gram(cosine_gram(vectors)))


def _bars(values: Iterable[float]) -> str:
    """A bar for each eigenvalue, on a square-root scale so that small ones show."""
    levels = " ▁▂▃▄▅▆▇█"
    return "".join(levels[min(round(value**0.5 * (len(levels) - 1)), len(levels) - 1)] for value in values)
