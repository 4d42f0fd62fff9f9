"""The offline demo: train tiny models, sample their answers, embed them, fit P(correct), evaluate. Takes minutes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from sgpu_lightning.answers.grading import alias_match, label_of
from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.data.datamodule import AnswerDataModule
from sgpu_lightning.embedding.embed_answers import embed_store, load_encoder
from sgpu_lightning.sampling.local.huggingface import HuggingFaceSampler
from sgpu_lightning.sampling.run import sample_to_store
from sgpu_lightning.sampling.sampling_settings import SamplingSettings
from sgpu_lightning.tasks import Question, load_task
from sgpu_lightning.tasks.benchmarks.digit_questions import digit_questions
from sgpu_lightning.testbed.demo_examples import show_examples
from sgpu_lightning.testbed.demo_transfer import demo_transfer, transfer_table
from sgpu_lightning.testbed.language_model import build_language_model
from sgpu_lightning.testbed.vision_model import build_vision_model
from sgpu_lightning.testbed.world import write_questions
from sgpu_lightning.training.fitting import Fitted, fit, metrics_table

if TYPE_CHECKING:
    from rich.console import Console

ModelSize = Literal["small", "large"]
DIGITS = "digits"  # name of the vision-language model and of its task
_BATCH = 32  # questions in a batch; the models are tiny
_MAX_NEW_TOKENS = 10  # more than the testbed's answers have


@dataclass(frozen=True, slots=True)
class _DemoModel:
    """A model of the demo.

    Args:
        name: Name in the output and of its folders.
        training_data: Description of its training data.
        build: Trains the model and saves it in a folder.
        task: The ``dataset`` of its records.
        questions: The questions it is asked.
    """

    name: str
    training_data: str
    build: Callable[[Path], Path]
    task: str
    questions: list[Question]


def run_demo(
    out: Path, console: Console, *, questions: int | None = None, steps: int | None = None
) -> dict[str, Fitted]:
    """Train two language models and a vision-language model; fit and evaluate two predictors of P(correct) for each.

    Args:
        out: Folder for models, answer stores and checkpoints; existing models and answers are used again.
        console: Console for the output.
        questions: Number of questions to ask each model; None for all.
        steps: Number of training steps of each model; None for the testbed's default.

    Returns:
        The fits, white-box and black-box, by model and setting.
    """
    encoder = load_encoder("minilm")
    fitted: dict[str, Fitted] = {}
    stores: dict[str, Path] = {}
    for model in _models(out, questions, steps):
        name = model.name
        console.rule(f"{name} model")
        store = _answers(out, model, console)
        stores[name] = store.path
        labels = [label_of(record, alias_match) or 0 for record in store.records()]
        console.print(f"its greedy answers are right on {sum(labels) / len(labels):.0%} of {len(labels)} questions")
        embed_store(store, encoder)
        show_examples(store, console)
        for setting, vectors in (("white-box", None), ("black-box", "minilm")):
            console.print(f"fit P(correct) for the {name} model, {setting}")
            data = AnswerDataModule(str(store.path), encoder=vectors)
            fitted[f"{name}, {setting}"] = fit(data, out=out / "fit" / f"{name}-{setting}")
    console.rule("P(correct) on questions held out from fitting")
    console.print(results(fitted))
    console.rule("transfer: fitted on one model's answers, evaluated on another model's")
    console.print(transfer_table(demo_transfer(stores)))
    return fitted


def _models(out: Path, count: int | None, steps: int | None) -> list[_DemoModel]:
    task = write_questions(out / "questions.jsonl", count=count)
    asked = load_task(str(task))
    people = "a toy world of people and their facts"
    texts = [
        _DemoModel(size, people, partial(build_language_model, size=size, steps=steps), task.stem, asked)
        for size in get_args(ModelSize)
    ]
    build = partial(build_vision_model, size="small", steps=steps)
    shown = digit_questions(out / "images", count=count)
    return [*texts, _DemoModel(DIGITS, "images of handwritten digits", build, DIGITS, shown)]


def _answers(out: Path, model: _DemoModel, console: Console) -> AnswerStore:
    folder = out / "models" / model.name
    if not (folder / "config.json").exists():
        console.print(f"train the {model.name} model from scratch on {model.training_data}")
        model.build(folder)
    settings = SamplingSettings(max_new_tokens=_MAX_NEW_TOKENS)
    sampler = HuggingFaceSampler.from_pretrained(str(folder), device="cpu", settings=settings, batch_size=_BATCH)
    count, layer = settings.num_answers, sampler.layers[0]
    console.print(f"sample {count} answers and the greedy answer to each question; record layer {layer}")
    store = out / "answers" / model.name
    return sample_to_store(sampler, model.questions, store, task=model.task)


def results(fitted: dict[str, Fitted]) -> object:
    """Make a table with the test metrics of each fit.

    Args:
        fitted: The fits by name.
    """
    metrics = {name: one.metrics["test"] for name, one in fitted.items()}
    return metrics_table(metrics, {name: one.sizes["test"] for name, one in fitted.items()}, title="")
