"""Tasks by name, and files of a user's own questions by path."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from sgpu_lightning.tasks.prompt_settings import PromptSettings
from sgpu_lightning.tasks.question import Question, TaskError
from sgpu_lightning.tasks.question_file import SUFFIXES, read_questions

Questions = Callable[[], Iterable[Question]]


class Task(Protocol):
    """A source of questions, with the prompt that puts them to a model and the grader of its answers."""

    @property
    def name(self) -> str:
        """Name of the task; the records' ``dataset``."""
        ...

    @property
    def grader(self) -> str | None:
        """Name of the grader that suits the gold answers; None for the default grader."""
        ...

    @property
    def prompt(self) -> PromptSettings | None:
        """Settings of the prompt; None for the defaults."""
        ...

    def questions(
        self, *, path: Path | None = None, split: str | None = None, limit: int | None = None
    ) -> list[Question]:
        """The questions.

        Args:
            path: A local copy of the data; None reads from its source.
            split: Split of the data; None for the task's own.
            limit: Number of questions to read; None for all.
        """
        ...


@dataclass(frozen=True)
class FunctionTask:
    """A task whose questions a function returns.

    Args:
        name: Name of the task.
        function: Returns the questions.
        grader: Name of the grader that suits the gold answers; None for the default grader.
        prompt: Settings of the prompt; None for the defaults.
    """

    name: str
    function: Questions
    grader: str | None = None
    prompt: PromptSettings | None = None

    def questions(
        self, *, path: Path | None = None, split: str | None = None, limit: int | None = None
    ) -> list[Question]:
        """The questions.

        Args:
            path: Must be None.
            split: Must be None.
            limit: Number of questions; None for all.

        Raises:
            TaskError: If a path or split is given; only benchmarks accept them.
        """
        for option, value in (("path", path), ("split", split)):
            if value is not None:
                raise TaskError(f"task '{self.name}': expected no {option}, got '{value}'; only benchmarks take one")
        return list(itertools.islice(self.function(), limit))


_TASKS: dict[str, Task] = {}


def register_task(
    name: str, *, grader: str | None = None, prompt: PromptSettings | None = None
) -> Callable[[Questions], Questions]:
    """Register a function that returns questions as a task.

    Args:
        name: Name of the task for ``--task`` and `load_task`.
        grader: Name of the grader that suits the gold answers; None for the default grader.
        prompt: Settings of the prompt; None for the defaults.

    Returns:
        A decorator that returns the function unchanged.

    Raises:
        ValueError: If the name is taken, or ends like the path of a question file.
    """
    _check_name(name)

    def register(function: Questions) -> Questions:
        add_task(FunctionTask(name, function, grader, prompt))
        return function

    return register


def add_task(task: Task) -> None:
    """Register a task under its name.

    Args:
        task: The task.

    Raises:
        ValueError: If the name is taken, or ends like the path of a question file.
    """
    _check_name(task.name)
    _TASKS[task.name] = task


def known_tasks() -> list[Task]:
    """All registered tasks."""
    return list(_TASKS.values())


def task_names() -> list[str]:
    """Sorted names of the registered tasks."""
    return sorted(_TASKS)


def find_task(name_or_path: str) -> Task:
    """A registered task, or a task made from a file of the user's own questions.

    Args:
        name_or_path: One of `task_names`, or the path of a ``.jsonl`` or ``.jsonl.gz`` file; see `read_questions`.

    Raises:
        TaskError: If the name is unknown.
    """
    if name_or_path in _TASKS:
        return _TASKS[name_or_path]
    if name_or_path.endswith(SUFFIXES):
        file = Path(name_or_path)
        return FunctionTask(file.name.split(".")[0], lambda: read_questions(file))
    raise TaskError(
        f"unknown task '{name_or_path}': known tasks are {_listed()}; "
        "the path of a .jsonl or .jsonl.gz file of questions is accepted as well"
    )


def load_task(
    name_or_path: str, *, path: str | Path | None = None, limit: int | None = None, split: str | None = None
) -> list[Question]:
    """Load the questions of a registered task, or of a file of the user's own questions.

    Args:
        name_or_path: One of `task_names`, or the path of a ``.jsonl`` or ``.jsonl.gz`` file; see `read_questions`.
        path: For a benchmark, a local folder or file with the same columns; None reads from the hub.
        limit: Number of questions to load, in order; further rows are not read. None for all.
        split: For a benchmark, a split of the dataset; None for the benchmark's own.

    Raises:
        TaskError: If the name is unknown, the questions are missing or break the format, or the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise TaskError(f"limit: expected at least 1 question, or null for all, got {limit}")
    folder = None if path is None else Path(path).expanduser()
    return find_task(name_or_path).questions(path=folder, split=split, limit=limit)


def task_prompt(task: Task, given: PromptSettings) -> PromptSettings:
    """The given prompt settings, completed by the task's template and system message where they have none.

    Args:
        task: The task.
        given: The user's settings, which take precedence.
    """
    own = task.prompt
    if own is None:
        return given
    system = own.system if given.system is None else given.system
    return replace(given, template=given.template or own.template, system=system)


def _check_name(name: str) -> None:
    if name.endswith(SUFFIXES):
        raise ValueError(f"task name '{name}': expected a name, got the path of a question file")
    if name in _TASKS:
        raise ValueError(f"task name '{name}' is taken: known tasks are {_listed()}")


def _listed() -> str:
    return ", ".join(task_names()) or "(none)"
