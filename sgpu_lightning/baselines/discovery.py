"""Discovery of baselines: every module of a folder is imported, so that a new file need not be listed anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def import_modules(package: str, path: Iterable[str]) -> list[ModuleType]:
    """Import every module of a package.

    Args:
        package: Name of the package, its ``__name__``.
        path: Folders of the package, its ``__path__``.

    Returns:
        The modules by their ``ORDER``, an integer; modules without one come last, by name.
    """
    modules = [import_module(f"{package}.{found.name}") for found in iter_modules(path)]
    return sorted(modules, key=lambda module: (getattr(module, "ORDER", float("inf")), module.__name__))
