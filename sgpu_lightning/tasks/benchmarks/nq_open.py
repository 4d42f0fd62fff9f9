"""NQ-Open (Lee et al., arXiv 1906.00300; Kwiatkowski et al. 2019): 3,610 questions asked of Google, closed book.

Rows: question, and answer, a list of texts. Rows have no id: a question's id is its split and index.
"""

from __future__ import annotations

from sgpu_lightning.tasks.benchmark import Benchmark, add_benchmark, few_shot, gold_or_none
from sgpu_lightning.tasks.question import Question
from sgpu_lightning.tasks.source_rows import Dataset, Row

# The first five rows of the training split.
_EXAMPLES = [
    ("where did they film hot tub time machine", "Fernie Alpine Resort"),
    ("who has the right of way in international waters", "Neither vessel"),
    ("who does annie work for attack on titan", "Marley"),
    ("when was the immigration reform and control act passed", "November 6, 1986"),
    ("when was puerto rico added to the usa", "1950"),
]


def _question(row: Row) -> Question:
    return Question(
        id=f"{row.split}-{row.index}", question=row.text("question"), gold=gold_or_none(row.texts("answer"))
    )


NQ_OPEN = add_benchmark(
    Benchmark(
        name="nq_open",
        dataset=Dataset(
            hub_id="google-research-datasets/nq_open",
            revision="5dd9790a83002ad084ddeb7c420dc716852c6f28",
            config="nq_open",
            split="validation",
            columns=("question", "answer"),
        ),
        question=_question,
        grader="alias",
        template=few_shot("Answer the question with a word or a short phrase.", _EXAMPLES),
        position=2,
    )
)
