"""Tiny models trained from scratch in seconds, for the offline demo and as fixtures of the tests."""

from __future__ import annotations

from sgpu_lightning.tasks.benchmarks.digit_questions import digit_questions
from sgpu_lightning.testbed.language_model import build_language_model
from sgpu_lightning.testbed.lexicon import meaning
from sgpu_lightning.testbed.mentions import corpus
from sgpu_lightning.testbed.vision_model import build_vision_model
from sgpu_lightning.testbed.world import World, make_world, questions, write_questions

__all__ = [
    "World",
    "build_language_model",
    "build_vision_model",
    "corpus",
    "digit_questions",
    "make_world",
    "meaning",
    "questions",
    "write_questions",
]
