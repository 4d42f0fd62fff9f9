"""Graders by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sgpu_lightning.answers.grading.class_name import class_name
from sgpu_lightning.answers.grading.grader import Grader, ScoreGrader
from sgpu_lightning.answers.grading.multiple_choice import multiple_choice
from sgpu_lightning.answers.grading.number import number
from sgpu_lightning.answers.grading.text_match import (
    ROUGE_L_THRESHOLD,
    SQUAD_F1_THRESHOLD,
    alias_match,
    exact_match,
    rouge_l,
    squad_f1,
)
from sgpu_lightning.answers.grading.vqa import VQA_THRESHOLD, vqa_accuracy
from sgpu_lightning.errors import SGPUError

GRADERS: dict[str, Grader] = {
    "exact": exact_match,
    "alias": alias_match,
    "squad_f1": ScoreGrader(squad_f1, SQUAD_F1_THRESHOLD),
    "rouge_l": ScoreGrader(rouge_l, ROUGE_L_THRESHOLD),
    "vqa": ScoreGrader(vqa_accuracy, VQA_THRESHOLD),
    "multiple_choice": multiple_choice,
    "number": number,
    "class_name": class_name,
}
DEFAULT_GRADER = "alias"
_MAKERS: dict[str, Callable[..., Grader]] = {}


def register_grader(name: str) -> Callable[[Callable[..., Grader]], Callable[..., Grader]]:
    """Make a function that gives a grader, from options if it has any, known by a name.

    Args:
        name: What `get_grader` and ``--grader`` know it by.

    Returns:
        A decorator that leaves the function as it is.

    Raises:
        ValueError: If the name is taken.
    """
    if name in grader_names():
        raise ValueError(f"grader name '{name}' is taken: known graders are {', '.join(grader_names())}")

    def register(maker: Callable[..., Grader]) -> Callable[..., Grader]:
        _MAKERS[name] = maker
        return maker

    return register


def grader_names() -> list[str]:
    """The names `get_grader` knows."""
    return [*GRADERS, *_MAKERS]


def get_grader(name: str, options: Mapping[str, Any] | None = None) -> Grader:
    """The grader of that name.

    Args:
        name: One of `grader_names`.
        options: What the grader is made with: ``threshold`` for those that have one, whatever a registered maker
            takes.

    Raises:
        SGPUError: If there is none, listing those there are, or if it does not take the options.
    """
    options = dict(options or {})
    if name in _MAKERS:
        return _make(name, _MAKERS[name], options)
    if name not in GRADERS:
        raise SGPUError(f"unknown grader '{name}', expected one of {', '.join(grader_names())}")
    grader = GRADERS[name]
    taken = {"threshold"} if isinstance(grader, ScoreGrader) else set()
    if unknown := sorted(options.keys() - taken):
        raise SGPUError(f"grader '{name}': expected {', '.join(taken) or 'no options'}, got {', '.join(unknown)}")
    return replace(grader, **options) if options and isinstance(grader, ScoreGrader) else grader


def _make(name: str, maker: Callable[..., Grader], options: dict[str, Any]) -> Grader:
    signature = inspect.signature(maker)
    try:
        signature.bind(**options)
    except TypeError as error:
        raise SGPUError(f"grader '{name}' takes {signature}, got {options}: {error}") from error
    return maker(**options)


@register_grader("judge")
def _judge(api: str, model: str, api_key_env: str = "OPENAI_API_KEY", max_tokens: int = 200) -> Grader:
    """A language model behind a server; see `LLMJudge`. The key comes from the environment only."""
    from sgpu_lightning.sampling.judge import LLMJudge
    from sgpu_lightning.sampling.server.client import ApiClient

    return LLMJudge(ApiClient(api, model, api_key_env=api_key_env), max_tokens=max_tokens)
