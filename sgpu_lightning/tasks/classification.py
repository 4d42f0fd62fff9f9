"""Image classification answered as text: question, template and gold answers that its benchmarks share."""

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
    """The question about the image of a row.

    The gold answers are all names of the row's class. The rivals are the longer names of other classes that contain
    one of them. A row without a class (null or -1, as in a test split) has no gold answers.

    Args:
        row: A row with an image.
        column: Name of the column of class labels.
        synonyms: Function from the dataset's name of a class to all names of the class.
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
