"""Graders by name: the built-in ones, those of installed packages, and those registered in Python."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from sgpu_lightning.answers.grading.entry_points import entry_point_names, load_maker
from sgpu_lightning.answers.grading.grader import Grader, ScoreGrader
from sgpu_lightning.errors import SGPUError

GRADERS: dict[str, Grader] = {}
DEFAULT_GRADER = "alias"
_LAST = 1000
_POSITIONS: dict[str, int] = {}
_MAKERS: dict[str, Callable[..., Grader]] = {}


def add_grader(name: str, grader: Grader, *, position: int = _LAST) -> None:
    """Add a built-in grader to `GRADERS`.

    Args:
        name: Name for `get_grader` and ``--grader``.
        grader: The grader; `get_grader` accepts another threshold for a `ScoreGrader`.
        position: Place in lists of graders, smaller first; graders of equal position are sorted by name.

    Raises:
        ValueError: If the name is taken.
    """
    if name in GRADERS:
        raise ValueError(f"grader name '{name}' is taken: built-in graders are {', '.join(GRADERS)}")
    _POSITIONS[name] = position
    ordered = sorted((GRADERS | {name: grader}).items(), key=lambda item: (_POSITIONS[item[0]], item[0]))
    GRADERS.clear()
    GRADERS.update(ordered)


def register_grader(name: str) -> Callable[[Callable[..., Grader]], Callable[..., Grader]]:
    """Register a function or class that returns a grader, made from options if it takes any.

    Args:
        name: Name for `get_grader` and ``--grader``.

    Returns:
        A decorator that returns the function or class unchanged.

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
    """Names that `get_grader` knows: built-in graders, graders of installed packages, then registered graders."""
    return list(dict.fromkeys([*GRADERS, *entry_point_names(), *_MAKERS]))


def get_grader(name: str, options: Mapping[str, Any] | None = None) -> Grader:
    """Return the grader of a name.

    Installed packages are searched only for a name that is neither built in nor registered.

    Args:
        name: One of `grader_names`.
        options: Options of the grader: ``threshold`` for a `ScoreGrader`; for a registered grader, or one of an
            installed package, the arguments of the function that makes it. None: no options.

    Raises:
        SGPUError: If the name is unknown (the message lists the known names), the grader does not take the options, or
            the installed package that offers it is broken.
    """
    options = dict(options or {})
    if name in GRADERS:
        return _with_options(name, GRADERS[name], options)
    maker = _MAKERS.get(name) or cast("Callable[..., Grader] | None", load_maker(name))
    if maker is None:
        raise SGPUError(f"unknown grader '{name}', expected one of {', '.join(grader_names())}")
    return _make(name, maker, options)


def _with_options(name: str, grader: Grader, options: dict[str, Any]) -> Grader:
    accepted = {"threshold"} if isinstance(grader, ScoreGrader) else set()
    if unknown := sorted(options.keys() - accepted):
        raise SGPUError(f"grader '{name}': expected {', '.join(accepted) or 'no options'}, got {', '.join(unknown)}")
    return replace(grader, **options) if options and isinstance(grader, ScoreGrader) else grader


def _make(name: str, maker: Callable[..., Grader], options: dict[str, Any]) -> Grader:
    signature = inspect.signature(maker)
    try:
        signature.bind(**options)
    except TypeError as error:
        raise SGPUError(f"grader '{name}' takes {signature}, got {options}: {error}") from error
    return maker(**options)
