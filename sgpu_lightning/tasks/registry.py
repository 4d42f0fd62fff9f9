"""Tasks by name, and a user's own file by its path."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sgpu_lightning.tasks.jsonl import SUFFIXES, TaskError, read_questions
from sgpu_lightning.tasks.question import Question

if TYPE_CHECKING:
    from sgpu_lightning.tasks.prompt_settings import PromptSettings

Questions = Callable[[], Iterable[Question]]


class Task(Protocol):
    """Where questions come from, how they are put to a model, and how its answers are graded."""

    @property
    def name(self) -> str:
        """What the records' ``dataset`` says."""
        ...

    @property
    def grader(self) -> str | None:
        """The name of the grader that fits; None for the default one."""
        ...

    @property
    def prompt(self) -> PromptSettings | None:
        """How a question is put to a model; None for the defaults."""
        ...

    def questions(
        self, *, path: Path | None = None, split: str | None = None, limit: int | None = None
    ) -> list[Question]:
        """The questions, the first ``limit`` of them."""
        ...


@dataclass(frozen=True)
class FunctionTask:
    """A task whose questions a function gives.

    Args:
        name: The name of the task.
        function: Gives the questions.
        grader: The name of the grader that fits; None for the default one.
        prompt: How a question is put to a model; None for the defaults.
    """

    name: str
    function: Questions
    grader: str | None = None
    prompt: PromptSettings | None = None

    def questions(
        self, *, path: Path | None = None, split: str | None = None, limit: int | None = None
    ) -> list[Question]:
        """The questions, the first ``limit`` of them.

        Raises:
            TaskError: If a path or split is given: there is nothing to choose.
        """
        for option, value in (("path", path), ("split", split)):
            if value is not None:
                raise TaskError(f"task '{self.name}': expected no {option}, got '{value}'; only benchmarks take one")
        return list(itertools.islice(self.function(), limit))


_TASKS: dict[str, Task] = {}


def register_task(
    name: str, *, grader: str | None = None, prompt: PromptSettings | None = None
) -> Callable[[Questions], Questions]:
    """Make a function that gives questions known by a name.

    Args:
        name: What ``--task`` and `load_task` know it by.
        grader: The name of the grader that fits; None for the default one.
        prompt: How a question is put to a model; None for the defaults.

    Returns:
        A decorator that leaves the function as it is.

    Raises:
        ValueError: If ``name`` is taken, or reads like the path of a question file.
    """
    _check_name(name)

    def register(function: Questions) -> Questions:
        add_task(FunctionTask(name, function, grader, prompt))
        return function

    return register


def add_task(task: Task) -> None:
    """Make a task known by its name.

    Raises:
        ValueError: As `register_task`.
    """
    _check_name(task.name)
    _TASKS[task.name] = task


def task_names() -> list[str]:
    """The names `load_task` knows, sorted."""
    return sorted(_TASKS)


def find_task(name_or_path: str) -> Task:
    """A named task, or one that a file of one's own is.

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
        "the path of a .jsonl or .jsonl.gz file of questions works too"
    )


def load_task(
    name_or_path: str, *, path: str | Path | None = None, limit: int | None = None, split: str | None = None
) -> list[Question]:
    """The questions of a named task, or of a file of one's own.

    Args:
        name_or_path: As in `find_task`.
        path: For a benchmark: read the same columns from this local folder or file; None: from the hub.
        limit: The first so many questions only; no more than they need is read. None: all.
        split: For a benchmark: another split than its own.

    Raises:
        TaskError: If the name is unknown, the questions are missing or break the format, or the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise TaskError(f"limit: expected at least 1 question, or null for all, got {limit}")
    folder = None if path is None else Path(path).expanduser()
    return find_task(name_or_path).questions(path=folder, split=split, limit=limit)


def task_prompt(task: Task, given: PromptSettings) -> PromptSettings:
    """The given settings, with the task's template and system message where they have none of their own."""
    own = task.prompt
    if own is None:
        return given
    system = own.system if given.system is None else given.system
    return replace(given, template=given.template or own.template, system=system)


def _check_name(name: str) -> None:
    if name.endswith(SUFFIXES):
        raise ValueError(f"task name '{name}': expected a name, got what reads as a path to a question file")
    if name in _TASKS:
        raise ValueError(f"task name '{name}' is taken: known tasks are {_listed()}")


def _listed() -> str:
    return ", ".join(task_names()) or "(none)"
