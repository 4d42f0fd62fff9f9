"""Discovery of modules that register themselves: adding a grader or a benchmark takes one new file and no list."""

from __future__ import annotations

import pkgutil
from importlib import import_module


def import_submodules(package: str) -> None:
    """Import every module directly inside a package, in alphabetical order, so that each registers what it offers.

    Args:
        package: The package's full name, for example ``sgpu_lightning.answers.grading``.
    """
    for module in pkgutil.iter_modules(import_module(package).__path__):
        import_module(f"{package}.{module.name}")
