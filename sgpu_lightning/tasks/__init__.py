"""Where questions come from: benchmarks by name, and a user's own files."""

from sgpu_lightning.tasks import digits as _digits  # noqa: F401, registers the task
from sgpu_lightning.tasks.benchmark import Benchmark, add_benchmark
from sgpu_lightning.tasks.benchmarks import cifar100, imagenet, nq_open, okvqa, squad, triviaqa, vizwiz, vqav2
from sgpu_lightning.tasks.jsonl import TaskError, read_questions
from sgpu_lightning.tasks.question import Question
from sgpu_lightning.tasks.registry import Task, add_task, find_task, load_task, register_task, task_names, task_prompt
from sgpu_lightning.tasks.source_rows import Dataset, Row

BENCHMARKS = (
    triviaqa.TRIVIAQA, nq_open.NQ_OPEN, squad.SQUAD, vqav2.VQAV2, okvqa.OKVQA, vizwiz.VIZWIZ, cifar100.CIFAR100,
    imagenet.IMAGENET,
)  # fmt: skip

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
