"""Discovery of modules that hold or register something: adding one takes a new file and no list elsewhere."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType


def import_submodules(package: str) -> list[ModuleType]:
    """Import every module directly inside a package.

    Args:
        package: The package's full name, for example ``sgpu_lightning.answers.grading``.

    Returns:
        The modules by their ``ORDER``, an integer; modules without one come last, by name.
    """
    path = import_module(package).__path__
    modules = [import_module(f"{package}.{module.name}") for module in pkgutil.iter_modules(path)]
    return sorted(modules, key=lambda module: (getattr(module, "ORDER", float("inf")), module.__name__))
