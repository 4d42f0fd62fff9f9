"""The testbed's questions about handwritten digits, for ``--task digits``."""

from __future__ import annotations

from sgpu_lightning.tasks.question import Question
from sgpu_lightning.tasks.registry import register_task


@register_task("digits")
def digits() -> list[Question]:
    """What digit an image shows; see ``testbed.digits.digit_questions``. The images are written to the cache."""
    from sgpu_lightning.testbed.digits import digit_questions

    return digit_questions()
