"""A question as tasks yield it and samplers take it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One input for a model.

    Args:
        id: Unique within its task; what resuming goes by.
        question: The text put to the model.
        gold: Accepted right answers, if known; for VQA accuracy one from each annotator, with repeats.
        context: A passage the question is about.
        image: Path or URL of the image it is about.
        group: Questions that must not be split apart share one.
        rivals: Names of other classes that contain a gold answer as words ("sea lion" for "lion"); records keep them
            under ``meta["rivals"]``, where the grader ``class_name`` looks.
    """

    id: str
    question: str
    gold: tuple[str, ...] | None = None
    context: str | None = None
    image: str | None = None
    group: str | None = None
    rivals: tuple[str, ...] | None = None
