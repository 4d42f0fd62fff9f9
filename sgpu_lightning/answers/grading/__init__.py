"""Graders: functions that decide whether the scored answer is right, given the gold answers.

`GRADERS` holds the built-in graders that need no options, by name. Each module of this package registers its own with
`add_grader`. A user's grader is registered with `register_grader`, or found through a Python entry point of an
installed package; see `entry_points`. A grader is either a function of an answer and its gold answers, or an object
that reads whole records (`RecordGrader`), such as an LLM judge.
"""

from sgpu_lightning.answers.discovery import import_submodules
from sgpu_lightning.answers.grading.class_name import ClassNameGrader, class_name
from sgpu_lightning.answers.grading.grader import Grader, RecordGrader, ScoreGrader, Verdict, grade_records, label_of
from sgpu_lightning.answers.grading.multiple_choice import multiple_choice
from sgpu_lightning.answers.grading.number import number
from sgpu_lightning.answers.grading.registry import DEFAULT_GRADER, GRADERS, get_grader, grader_names, register_grader
from sgpu_lightning.answers.grading.text_match import alias_match, exact_match, rouge_l, squad_f1
from sgpu_lightning.answers.grading.vqa import vqa_accuracy

import_submodules(__name__)

__all__ = [
    "DEFAULT_GRADER",
    "GRADERS",
    "ClassNameGrader",
    "Grader",
    "RecordGrader",
    "ScoreGrader",
    "Verdict",
    "alias_match",
    "class_name",
    "exact_match",
    "get_grader",
    "grade_records",
    "grader_names",
    "label_of",
    "multiple_choice",
    "number",
    "register_grader",
    "rouge_l",
    "squad_f1",
    "vqa_accuracy",
]
