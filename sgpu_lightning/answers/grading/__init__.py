"""Graders: is the scored answer right, given the gold answers.

`GRADERS` holds those that need no options, by name; `register_grader` adds one. A grader is either a function of an
answer and its gold answers, or an object that reads whole records (`RecordGrader`), as a judge does.
"""

from sgpu_lightning.answers.grading.class_name import ClassNameGrader, class_name
from sgpu_lightning.answers.grading.grader import Grader, RecordGrader, ScoreGrader, Verdict, grade_records, label_of
from sgpu_lightning.answers.grading.multiple_choice import multiple_choice
from sgpu_lightning.answers.grading.number import number
from sgpu_lightning.answers.grading.registry import DEFAULT_GRADER, GRADERS, get_grader, grader_names, register_grader
from sgpu_lightning.answers.grading.text_match import alias_match, exact_match, rouge_l, squad_f1
from sgpu_lightning.answers.grading.vqa import vqa_accuracy

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
