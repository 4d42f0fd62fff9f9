"""A benchmark: a dataset on the hub, the conversion of its rows to questions, the prompt and the grader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sgpu_lightning.tasks.image_files import image_file
from sgpu_lightning.tasks.prompt_settings import PromptSettings
from sgpu_lightning.tasks.question import Question, TaskError
from sgpu_lightning.tasks.registry import add_task, known_tasks
from sgpu_lightning.tasks.source_rows import Dataset, Row, read_dataset


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A task whose questions are read from a dataset.

    Args:
        name: Name of the task for ``--task`` and `load_task`.
        dataset: The dataset on the hub.
        question: Converts a row to a question, without its image. The image is added afterwards, and a group by image
            if the question has no group.
        grader: Name of the grader that suits the gold answers.
        template: The text around ``{question}`` and ``{context}``; see `PromptSettings`.
        position: Place in lists of benchmarks, smaller first; benchmarks of equal position are sorted by name.
    """

    name: str
    dataset: Dataset
    question: Callable[[Row], Question]
    grader: str
    template: str
    position: int = 1000

    @property
    def prompt(self) -> PromptSettings:
        """Settings of the prompt that puts a question to a model."""
        return PromptSettings(template=self.template)

    def questions(
        self, *, path: Path | None = None, split: str | None = None, limit: int | None = None
    ) -> list[Question]:
        """Read the questions; a row with the id of an earlier row is skipped.

        Args:
            path: A local copy of the dataset, a folder or file; None reads from the hub.
            split: Split of the dataset; None for the benchmark's own.
            limit: Number of questions to read; None for all.

        Raises:
            TaskError: If the rows cannot be read or do not have the dataset's form; names the place, what was expected
                and what was got.
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
                # Grouped by content: an image must not be in training with one question and in test with another.
                question = replace(question, image=str(file), group=question.group or f"image {file.stem}")
            yield question


def add_benchmark(benchmark: Benchmark) -> Benchmark:
    """Register a benchmark under its name and return it.

    Raises:
        ValueError: If the name is taken, or ends like the path of a question file.
    """
    add_task(benchmark)
    return benchmark


def known_benchmarks() -> tuple[Benchmark, ...]:
    """The registered benchmarks, sorted by position and name."""
    found = [task for task in known_tasks() if isinstance(task, Benchmark)]
    return tuple(sorted(found, key=lambda benchmark: (benchmark.position, benchmark.name)))


def few_shot(instruction: str, examples: Sequence[tuple[str, str]]) -> str:
    """A few-shot template: the instruction, then example questions with answers, then ``{question}``.

    Args:
        instruction: The first paragraph.
        examples: Pairs of a question and its answer.
    """
    shots = [f"Q: {question}\nA: {answer}" for question, answer in examples]
    text = "\n\n".join([instruction, *shots]).replace("{", "{{").replace("}", "}}")
    return text + "\n\nQ: {question}\nA:"


def gold_or_none(texts: Sequence[str]) -> tuple[str, ...] | None:
    """Gold answers in order, without blank and repeated ones; None if none is left, as in a test split."""
    return tuple(dict.fromkeys(text for text in texts if text.strip())) or None
