"""The whole way on tiny models: train, sample, record, embed, fit, evaluate. Offline, in minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import torch

from sgpu_lightning.answers.grading import alias_match, label_of
from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.data.datamodule import AnswerDataModule
from sgpu_lightning.embedding.embed_answers import embed_store, load_encoder
from sgpu_lightning.features.gram_kernels import cosine_gram, gram_matrix
from sgpu_lightning.features.spectrum import eigenspectrum
from sgpu_lightning.sampling.local.huggingface import HuggingFaceSampler
from sgpu_lightning.sampling.sampling_run import sample_to_store
from sgpu_lightning.sampling.sampling_settings import SamplingSettings
from sgpu_lightning.tasks import Question, load_task
from sgpu_lightning.tasks.digits import digit_questions
from sgpu_lightning.testbed.demo_transfer import demo_transfer, transfer_table
from sgpu_lightning.testbed.language import build_language_model
from sgpu_lightning.testbed.vision import build_vision_model
from sgpu_lightning.testbed.world import write_questions
from sgpu_lightning.training.fitting import Fitted, fit, metrics_table

if TYPE_CHECKING:
    from rich.console import Console

ModelSize = Literal["small", "large"]
DIGITS = "digits"  # the vision-language model's name in what is printed, and its task's
_BATCH = 32  # questions at a time: the models are tiny
_MAX_NEW_TOKENS = 10  # the testbed's answers are shorter


@dataclass(frozen=True, slots=True)
class _Subject:
    """A model of the demo.

    Args:
        name: As it is shown, and of its folders.
        learns: What it is trained on, in words.
        build: Trains it and saves it in a folder.
        task: The records' ``dataset``.
        questions: What it is asked.
    """

    name: str
    learns: str
    build: Callable[[Path], Path]
    task: str
    questions: list[Question]


def run_demo(
    out: Path, console: Console, *, questions: int | None = None, steps: int | None = None
) -> dict[str, Fitted]:
    """Train two language models and a vision-language one; fit and evaluate two predictors of each.

    Args:
        out: Folder for models, answer stores and checkpoints; models and answers that are there are used again.
        console: Where to show what happens.
        questions: How many questions to ask each model; None for all there are.
        steps: Training steps of each model; None for the testbed's own.

    Returns:
        The fitted predictors, white-box and black-box, by model and setting.
    """
    encoder = load_encoder("minilm")
    fitted: dict[str, Fitted] = {}
    stores: dict[str, Path] = {}
    for subject in _subjects(out, questions, steps):
        name = subject.name
        console.rule(f"{name} model")
        store = _answers(out, subject, console)
        stores[name] = store.path
        labels = [label_of(record, alias_match) or 0 for record in store.records()]
        console.print(f"its greedy answers are right on {sum(labels) / len(labels):.0%} of {len(labels)} questions")
        embed_store(store, encoder)
        _show_examples(store, console)
        for setting, vectors in (("white-box", None), ("black-box", "minilm")):
            console.print(f"fit P(correct) of the {name} model, {setting}")
            data = AnswerDataModule(str(store.path), encoder=vectors)
            fitted[f"{name}, {setting}"] = fit(data, out=out / "fit" / f"{name}-{setting}")
    console.rule("P(correct) on questions held out from fitting")
    console.print(results(fitted))
    console.rule("transfer: fitted on one model's answers, evaluated on another's")
    console.print(transfer_table(demo_transfer(stores)))
    return fitted


def _subjects(out: Path, count: int | None, steps: int | None) -> list[_Subject]:
    task = write_questions(out / "questions.jsonl", count=count)
    asked = load_task(str(task))
    people = "a toy world of people and their facts"
    texts = [
        _Subject(size, people, partial(build_language_model, size=size, steps=steps), task.stem, asked)
        for size in get_args(ModelSize)
    ]
    build = partial(build_vision_model, size="small", steps=steps)
    shown = digit_questions(out / "images", count=count)
    return [*texts, _Subject(DIGITS, "images of handwritten digits", build, DIGITS, shown)]


def _answers(out: Path, subject: _Subject, console: Console) -> AnswerStore:
    folder = out / "models" / subject.name
    if not (folder / "config.json").exists():
        console.print(f"train the {subject.name} model from scratch on {subject.learns}")
        subject.build(folder)
    settings = SamplingSettings(max_new_tokens=_MAX_NEW_TOKENS)
    sampler = HuggingFaceSampler.from_pretrained(str(folder), device="cpu", settings=settings, batch_size=_BATCH)
    console.print(f"ask it; {settings.num_answers} answers and the greedy one, layer {sampler.layers[0]} recorded")
    store = out / "answers" / subject.name
    return sample_to_store(sampler, subject.questions, store, task=subject.task)


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
        if record.image is not None:
            console.print(picture(Path(record.image)), markup=False, highlight=False)
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
    return eigenspectrum(gram_matrix(cosine_gram(vectors)))


def _bars(values: Iterable[float]) -> str:
    """A bar for each eigenvalue, on a square-root scale so that small ones show."""
    levels = " ▁▂▃▄▅▆▇█"
    return "".join(levels[min(round(value**0.5 * (len(levels) - 1)), len(levels) - 1)] for value in values)


def picture(path: Path) -> str:
    """A digit's image in the terminal: one cell of two characters for each of its 8 x 8 pixels."""
    from PIL import Image

    levels = " ░▒▓█"
    with Image.open(path) as image:
        rows = torch.tensor(list(image.resize((8, 8), Image.Resampling.NEAREST).tobytes())).reshape(8, 8)
    cells = (rows * len(levels) // 256).tolist()
    return "\n".join("    " + "".join(2 * levels[cell] for cell in row) for row in cells)
