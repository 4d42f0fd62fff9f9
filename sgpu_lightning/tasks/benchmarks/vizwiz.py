"""VizWiz-VQA (Gurari et al., arXiv 1802.08218): 4,319 questions of blind people about photographs they took.

Rows: question_id, image, question, answers, a list of ten texts, category. Many photographs do not show what is asked.
Annotators then answered "unanswerable" (or "unsuitable"), which is a gold answer like any other, and the prompt asks
for it. The gold answers keep their repeats; the test split has none.
"""

from __future__ import annotations

from sgpu_lightning.tasks.benchmark import Benchmark, add_benchmark
from sgpu_lightning.tasks.question import Question
from sgpu_lightning.tasks.source_rows import Dataset, Row


def _question(row: Row) -> Question:
    return Question(id=row.text("question_id"), question=row.text("question"), gold=row.texts("answers") or None)


VIZWIZ = add_benchmark(
    Benchmark(
        name="vizwiz",
        dataset=Dataset(
            hub_id="lmms-lab/VizWiz-VQA",
            revision="d428a2dae984f79cf1b9d99467dfa883e0c30686",
            split="val",
            columns=("question_id", "question", "answers", "image"),
            image="image",
        ),
        question=_question,
        grader="vqa",
        template=(
            "{question}\nWhen the provided information is insufficient, respond with 'Unanswerable'.\n"
            "Answer the question using a single word or phrase."
        ),
        position=6,
    )
)
