"""Graders of installed packages, found through Python entry points of the group ``sgpu_lightning.graders``.

A package offers a grader by an entry in its pyproject.toml; the object is a function or class that returns a grader::

    [project.entry-points."sgpu_lightning.graders"]
    strict_judge = "my_package.judges:StrictJudge"

The LLM judge of this package is offered in the same way, because grading must not import the stage that asks models.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata

from sgpu_lightning.errors import SGPUError

GROUP = "sgpu_lightning.graders"


def entry_point_names() -> list[str]:
    """Sorted names of the graders that installed packages offer; their modules are not imported."""
    return sorted({entry.name for entry in metadata.entry_points(group=GROUP)})


def load_maker(name: str) -> Callable[..., object] | None:
    """Import what an installed package offers under a name.

    Args:
        name: The grader's name.

    Returns:
        A function or class that returns the grader, or None if no installed package offers the name.

    Raises:
        SGPUError: If two packages offer different graders under the name, or the object cannot be imported or called;
            names the package.
    """
    entries = {entry.value: entry for entry in metadata.entry_points(group=GROUP, name=name)}
    if not entries:
        return None
    if len(entries) > 1:
        offers = " and ".join(f"{_package(entry)} ({value})" for value, entry in sorted(entries.items()))
        raise SGPUError(f"grader '{name}': expected one package that offers it, got {offers}: uninstall all but one")
    (entry,) = entries.values()
    where = f"grader '{name}': the entry point '{entry.value}' of package {_package(entry)}"
    try:
        maker = entry.load()
    except Exception as error:  # importing the module of another package may raise anything
        raise SGPUError(
            f"{where} cannot be loaded ({type(error).__name__}: {error}); update, reinstall or uninstall the package"
        ) from error
    if not callable(maker):
        raise SGPUError(
            f"{where}: expected a function or class that returns a grader, got {type(maker).__name__}; "
            "update or uninstall the package"
        )
    return maker


def _package(entry: metadata.EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "(unknown)"
