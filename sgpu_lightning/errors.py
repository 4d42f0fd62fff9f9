"""The base class of errors that a user can correct, which the command line prints without a traceback."""

from __future__ import annotations


class SGPUError(ValueError):
    """An error in the input; the message says what, where, what was expected, what was got and what to change."""


def show_value(value: object) -> str:
    """Type and beginning of a value that was got, for messages."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, nesting as deep as the stack
        text = "too long to show"
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


class EvaluationError(SGPUError):
    """Answer sets that cannot be evaluated on, or a comparison that would not be fair."""


class SamplingError(SGPUError):
    """A model, a prompt or settings that answers cannot be sampled with."""


class QuestionError(SamplingError):
    """One question that cannot be put to a model, whatever the others are.

    Args:
        question_id: The question's id, which begins the message.
        problem: What was expected, what was got and what to change.
    """

    def __init__(self, question_id: str, problem: str) -> None:
        super().__init__(f"question '{question_id}': {problem}")
        self.question_id = question_id


class LayerError(SamplingError, IndexError):
    """A decoder layer that the model does not have."""
