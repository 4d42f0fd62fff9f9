"""A question, as tasks yield it and samplers accept it."""

from __future__ import annotations

from dataclasses import dataclass

from sgpu_lightning.errors import SGPUError


class TaskError(SGPUError):
    """Questions that cannot be loaded; the message names the place, the key, what was expected and what was got."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One input for a model.

    Args:
        id: Unique within the task; an interrupted run resumes with the ids that have no answers.
        question: The text given to the model.
        gold: Accepted right answers; for VQA accuracy one from each annotator, with repeats. None if unknown.
        context: Passage that the question is about; None if there is none.
        image: Path or URL of the image that the question is about; None if there is none.
        group: Key shared by questions that must not be split apart; None for the default, the question text.
        rivals: Names of other classes that contain a gold answer as words ("sea lion" for "lion"); None if there are
            none. Records keep them under ``meta["rivals"]``, where the grader ``class_name`` reads them.
    """

    id: str
    question: str
    gold: tuple[str, ...] | None = None
    context: str | None = None
    image: str | None = None
    group: str | None = None
    rivals: tuple[str, ...] | None = None
