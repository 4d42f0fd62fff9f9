"""Image classification answered as text: what the benchmarks of that kind share."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from sgpu_lightning.answers.grading.class_name import rivals_of
from sgpu_lightning.tasks.question import Question
from sgpu_lightning.tasks.source_rows import Row

QUESTION = "What is the main object in this photo?"
TEMPLATE = "{question}\nAnswer with its name only, as specific as you can."

Synonyms = Callable[[str], tuple[str, ...]]


def class_question(row: Row, column: str, synonyms: Synonyms) -> Question:
    """The question about a row's image.

    Its gold answers are all names of its class, its rivals the longer names among other classes' that contain one. A
    row without a class (null or -1, as in a test split) has no gold.

    Args:
        row: A row with an image.
        column: The column of its class label.
        synonyms: All names of a class, given the dataset's name of it.
    """
    identity = f"{row.split}-{row.index}"
    if row.values[column] in (None, -1):
        return Question(id=identity, question=QUESTION)
    name = row.class_name(column)
    rivals = _rivals(name, row.class_names.get(column, ()), synonyms)
    return Question(id=identity, question=QUESTION, gold=synonyms(name), rivals=rivals or None)


@lru_cache(maxsize=4096)
def _rivals(name: str, classes: tuple[str, ...], synonyms: Synonyms) -> tuple[str, ...]:
    others = [other for one in classes if one != name for other in synonyms(one)]
    return rivals_of(synonyms(name), others)
