"""VQAv2 (Goyal et al., arXiv 1612.00837): 214,354 questions of its validation split on photographs of COCO.

Rows: question_type, multiple_choice_answer, answers, a list of ten objects of answer, answer_confidence and
answer_id, image_id, answer_type, question_id, question, image. The gold answers are those of the ten annotators, with
repeats. The splits testdev and test have none. Questions about one image share a group.
"""

from __future__ import annotations

from collections.abc import Mapping

from sgpu_lightning.errors import show_value
from sgpu_lightning.tasks.benchmark import Benchmark, add_benchmark
from sgpu_lightning.tasks.question import Question, TaskError
from sgpu_lightning.tasks.source_rows import Dataset, Row

SHORT_ANSWER = "{question}\nAnswer the question using a single word or phrase."


def _question(row: Row) -> Question:
    answers = row.values["answers"] or []
    gold = [answer.get("answer") if isinstance(answer, Mapping) else None for answer in answers]
    if not all(isinstance(text, str) for text in gold):
        raise TaskError(f"{row.where}: column 'answers': expected objects with 'answer', got {show_value(answers)}")
    return Question(
        id=row.text("question_id"),
        question=row.text("question"),
        gold=tuple(str(text) for text in gold) or None,
        group=f"coco {row.text('image_id')}",
    )


VQAV2 = add_benchmark(
    Benchmark(
        name="vqav2",
        dataset=Dataset(
            hub_id="lmms-lab/VQAv2",
            revision="32665d35052eb4a6d4414851c3c829a72754915a",
            split="validation",
            columns=("question_id", "question", "image_id", "answers", "image"),
            image="image",
        ),
        question=_question,
        grader="vqa",
        template=SHORT_ANSWER,
        position=4,
    )
)
