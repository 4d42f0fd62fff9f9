"""A benchmark: a dataset on the hub, how its rows become questions, how they are put and how answers are graded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sgpu_lightning.tasks.image_files import image_file
from sgpu_lightning.tasks.jsonl import TaskError
from sgpu_lightning.tasks.question import Question
from sgpu_lightning.tasks.registry import add_task
from sgpu_lightning.tasks.source_rows import Dataset, Row, read_dataset

if TYPE_CHECKING:
    from sgpu_lightning.tasks.prompt_settings import PromptSettings


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A task read from a dataset.

    Args:
        name: What ``--task`` and `load_task` know it by.
        dataset: Where its rows are.
        question: Makes a question of a row; the image is added to it, and the group where it has none.
        grader: The name of the grader that fits.
        template: The text around ``{question}`` and ``{context}``; see ``sampling.prompt.PromptSettings``.
    """

    name: str
    dataset: Dataset
    question: Callable[[Row], Question]
    grader: str
    template: str

    @property
    def prompt(self) -> PromptSettings:
        """How a question is put to a model."""
        from sgpu_lightning.tasks.prompt_settings import PromptSettings

        return PromptSettings(template=self.template)

    def questions(
        self, *, path: Path | None = None, split: str | None = None, limit: int | None = None
    ) -> list[Question]:
        """The questions, the first ``limit`` of them; a row whose id came before is passed over.

        Raises:
            TaskError: If the rows cannot be had or are not of the dataset's form; where, what was expected and got.
        """
        found: dict[str, Question] = {}
        for question in self._read(path, split):
            found.setdefault(question.id, question)
            if len(found) == limit:
                break
        if not found:
            raise TaskError(f"task '{self.name}': expected at least one question, got none")
        return list(found.values())

    def _read(self, path: Path | None, split: str | None) -> Iterator[Question]:
        base = None if path is None else path if path.is_dir() else path.parent
        for row in read_dataset(self.dataset, path=path, split=split):
            question = self.question(row)
            if self.dataset.image is not None:
                file = image_file(row.values[self.dataset.image], row.where, base=base)
                # By its content: one image must not be fitted on under one question and tested on under another.
                question = replace(question, image=str(file), group=question.group or f"image {file.stem}")
            yield question


def add_benchmark(benchmark: Benchmark) -> Benchmark:
    """Make a benchmark known by its name, and give it back."""
    add_task(benchmark)
    return benchmark


def few_shot(instruction: str, examples: Sequence[tuple[str, str]]) -> str:
    """A template with examples: the instruction, then questions with their answers, then the question."""
    shots = [f"Q: {question}\nA: {answer}" for question, answer in examples]
    text = "\n\n".join([instruction, *shots]).replace("{", "{{").replace("}", "}}")
    return text + "\n\nQ: {question}\nA:"


def gold_or_none(texts: Sequence[str]) -> tuple[str, ...] | None:
    """Gold answers without blanks and repeats, in order; None where there are none, as in a test split."""
    return tuple(dict.fromkeys(text for text in texts if text.strip())) or None
