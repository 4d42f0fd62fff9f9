"""Discovery of the verbs: each verb is one file in a folder of this package. No verb is imported."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).parent
_GROUPS = ("collect", "learn", "evaluate", "use")  # in the order of a user's work; other folders follow


class Verb(NamedTuple):
    """One verb, defined by a file with a function ``run(args)``.

    Args:
        name: The verb as the user types it: the file's name without a final underscore, which files need if the verb is
            a Python keyword.
        path: The file.
    """

    name: str
    path: Path

    @property
    def module(self) -> str:
        """Full name of the verb's module."""
        return f"{__package__}.{self.path.parent.name}.{self.path.stem}"

    @property
    def summary(self) -> str:
        """One line of help: the first line of the file's docstring."""
        return _first_line(self.path)


def find_verbs() -> dict[str, list[Verb]]:
    """Find the verbs of each group, by the group's heading; groups are in order of use, verbs sorted by name."""
    folders = sorted({path.parent for path in _HERE.glob("*/__init__.py")}, key=_position)
    return {_first_line(folder / "__init__.py"): _verbs_in(folder) for folder in folders}


def find_verb(name: str) -> Verb | None:
    """Find the verb of this name; None if there is none."""
    return next(
        (verb for path in _HERE.glob("*/__init__.py") for verb in _verbs_in(path.parent) if verb.name == name), None
    )


def _verbs_in(folder: Path) -> list[Verb]:
    return [Verb(path.stem.rstrip("_"), path) for path in sorted(folder.glob("[!_]*.py"))]


def _position(folder: Path) -> tuple[int, str]:
    return (_GROUPS.index(folder.name) if folder.name in _GROUPS else len(_GROUPS), folder.name)


def _first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].rstrip(".")
