"""Stored help texts of the verbs, so that ``--help`` does not import torch and Lightning."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FOLDER = Path(__file__).parent / "help"
VERSIONS = FOLDER / "versions.json"
LIBRARIES = ("jsonargparse", "lightning")  # the texts come from their parsers and docstrings


def text_path(words: Sequence[str]) -> Path:
    """The file with the help of a verb, or of a verb and its command, such as ``curve labels``."""
    return FOLDER / f"{'_'.join(words)}.txt"


def installed_versions() -> dict[str, str]:
    """Versions of the libraries that a help text depends on, looked up without importing them."""
    return {name: version(name) for name in LIBRARIES}


def stored_help(args: Sequence[str]) -> str | None:
    """Return the stored help text that a call asks for.

    Args:
        args: All arguments after ``sgpu``.

    Returns:
        The text. None if the call does not ask for help, if its text is not stored, or if the texts were rendered with
        other versions of the libraries than those installed; the verb's own parser then prints the help.
    """
    *words, last = args
    if last not in ("-h", "--help") or not words or not all(word.isalpha() for word in words):
        return None
    try:
        if json.loads(VERSIONS.read_text(encoding="utf-8"))["libraries"] != installed_versions():
            return None
        return text_path(words).read_text(encoding="utf-8")
    except (OSError, ValueError, KeyError, PackageNotFoundError):
        return None
