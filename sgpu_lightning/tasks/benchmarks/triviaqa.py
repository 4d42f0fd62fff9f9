"""TriviaQA (Joshi et al., arXiv 1705.03551), closed book: about 10,000 trivia questions with the answers' aliases.

Rows of ``rc.nocontext``: question, question_id, question_source, entity_pages, search_results, and answer, an object
of aliases, normalized_aliases, matched_wiki_entity_name, normalized_matched_wiki_entity_name, normalized_value, type
and value. A question has one row for each of its documents, 17,944 rows in the validation split; it is asked once.
"""

from __future__ import annotations

from sgpu_lightning.errors import show_value
from sgpu_lightning.tasks.benchmark import Benchmark, add_benchmark, few_shot, gold_or_none
from sgpu_lightning.tasks.question import Question, TaskError
from sgpu_lightning.tasks.source_rows import Dataset, Row

_HIDDEN = "<unk>"  # the answer in the test split
# The first five rows of the training split.
_EXAMPLES = [
    ("Which American-born Sinclair won the Nobel Prize for Literature in 1930?", "Sinclair Lewis"),
    ("Where in England was Dame Judi Dench born?", "York"),
    ("In which decade did Billboard magazine first publish and American hit chart?", "30s"),
    ("From which country did Angola achieve independence in 1975?", "Portugal"),
    ("Which city does David Soul come from?", "Chicago"),
]


def _question(row: Row) -> Question:
    aliases = row.texts("answer", "aliases")
    value = row.values["answer"].get("value") if row.values["answer"] else None
    if value is not None and not isinstance(value, str):
        raise TaskError(f"{row.where}: column 'answer': expected text under 'value', got {show_value(value)}")
    gold = [text for text in (value or "", *aliases) if text != _HIDDEN]
    return Question(id=row.text("question_id"), question=row.text("question"), gold=gold_or_none(gold))


TRIVIAQA = add_benchmark(
    Benchmark(
        name="triviaqa",
        dataset=Dataset(
            hub_id="mandarjoshi/trivia_qa",
            revision="0f7faf33a3908546c6fd5b73a660e0f8ff173c2f",
            config="rc.nocontext",
            split="validation",
            columns=("question", "question_id", "answer"),
        ),
        question=_question,
        grader="alias",
        template=few_shot("Answer the question with a word or a short phrase.", _EXAMPLES),
        position=1,
    )
)
