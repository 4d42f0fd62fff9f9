"""SQuAD v1.1 (Rajpurkar et al., arXiv 1606.05250): 10,570 questions on passages of Wikipedia.

Rows: id, title, context, question, and answers, an object of the lists text and answer_start, with one entry per
annotator. Questions about one passage share a group.
"""

from __future__ import annotations

import hashlib

from sgpu_lightning.tasks.benchmark import Benchmark, add_benchmark, gold_or_none
from sgpu_lightning.tasks.question import Question
from sgpu_lightning.tasks.source_rows import Dataset, Row


def _question(row: Row) -> Question:
    context = row.text("context")
    return Question(
        id=row.text("id"),
        question=row.text("question"),
        context=context,
        gold=gold_or_none(row.texts("answers", "text")),
        group=f"passage {hashlib.sha256(context.encode()).hexdigest()}",
    )


SQUAD = add_benchmark(
    Benchmark(
        name="squad",
        dataset=Dataset(
            hub_id="rajpurkar/squad",
            revision="7b6d24c440a36b6815f21b70d25016731768db1f",
            config="plain_text",
            split="validation",
            columns=("id", "context", "question", "answers"),
        ),
        question=_question,
        grader="squad_f1",
        template="Answer the question with as few words of the passage as possible.\n\n{context}\n\nQ: {question}\nA:",
        position=3,
    )
)
