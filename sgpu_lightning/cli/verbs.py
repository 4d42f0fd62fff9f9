"""Finds the verbs of the command line: each is one file in a folder of this package. Nothing is imported."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).parent
_GROUPS = ("collect", "learn", "evaluate", "use")  # in the order of a user's work; other folders follow


class Verb(NamedTuple):
    """One verb, defined by a file with a ``run(args)``.

    Args:
        name: As it is typed: the file's name, without the underscore that a Python keyword ends with.
        path: The file.
    """

    name: str
    path: Path

    @property
    def module(self) -> str:
        """Where the verb is imported from."""
        return f"{__package__}.{self.path.parent.name}.{self.path.stem}"

    @property
    def summary(self) -> str:
        """One line of help: the first line of the file's docstring."""
        return _first_line(self.path)


def find_verbs() -> dict[str, list[Verb]]:
    """The verbs of each group by the group's heading; groups in order of use, verbs by name."""
    folders = sorted({path.parent for path in _HERE.glob("*/__init__.py")}, key=_position)
    return {_first_line(folder / "__init__.py"): _verbs_in(folder) for folder in folders}


def find_verb(name: str) -> Verb | None:
    """The verb of this name; None where there is none."""
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
