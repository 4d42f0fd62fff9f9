"""Where questions come from: benchmarks by name, and files of a user's own.

Each module of `sgpu_lightning.tasks.benchmarks` registers its task when it is imported; all of them are imported here.
"""

from sgpu_lightning.answers.discovery import import_submodules
from sgpu_lightning.tasks.benchmark import Benchmark, add_benchmark, known_benchmarks
from sgpu_lightning.tasks.question import Question, TaskError
from sgpu_lightning.tasks.question_file import read_questions
from sgpu_lightning.tasks.registry import Task, add_task, find_task, load_task, register_task, task_names, task_prompt
from sgpu_lightning.tasks.source_rows import Dataset, Row

import_submodules(f"{__name__}.benchmarks")
BENCHMARKS = known_benchmarks()

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "Dataset",
    "Question",
    "Row",
    "Task",
    "TaskError",
    "add_benchmark",
    "add_task",
    "find_task",
    "load_task",
    "read_questions",
    "register_task",
    "task_names",
    "task_prompt",
]
