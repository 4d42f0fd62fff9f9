"""Where questions come from."""

from sgpu_lightning.tasks import digits as _digits  # noqa: F401, registers the task
from sgpu_lightning.tasks.jsonl import TaskError, read_questions
from sgpu_lightning.tasks.question import Question
from sgpu_lightning.tasks.registry import load_task, register_task, task_names

__all__ = ["Question", "TaskError", "load_task", "read_questions", "register_task", "task_names"]
