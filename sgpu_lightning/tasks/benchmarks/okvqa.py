"""OK-VQA (Marino et al., arXiv 1906.00067): 5,046 questions on photographs of COCO that need outside knowledge.

Rows: question_id, image, question, answers, a list of ten texts, question_type, answer_type. The gold answers are the
annotators' answers, with repeats. A question's id is the COCO id of its image and one digit. Questions about one image
share a group, also with those of VQAv2.
"""

from __future__ import annotations

from sgpu_lightning.tasks.benchmark import Benchmark, add_benchmark
from sgpu_lightning.tasks.benchmarks.vqav2 import SHORT_ANSWER
from sgpu_lightning.tasks.question import Question
from sgpu_lightning.tasks.source_rows import Dataset, Row


def _question(row: Row) -> Question:
    identity = row.text("question_id")
    return Question(
        id=identity,
        question=row.text("question"),
        gold=row.texts("answers") or None,
        group=f"coco {identity[:-1]}",
    )


OKVQA = add_benchmark(
    Benchmark(
        name="okvqa",
        dataset=Dataset(
            hub_id="lmms-lab/OK-VQA",
            revision="c9f858961f4095a9aeef615057b0822cce967096",
            split="val2014",
            columns=("question_id", "question", "answers", "image"),
            image="image",
        ),
        question=_question,
        grader="vqa",
        template=SHORT_ANSWER,
        position=5,
    )
)
