"""The architecture holds: imports go one way, names occur once, files and functions stay short.

``python -m tests.test_house`` prints the stages with the number of imports between them.
"""

from __future__ import annotations

import ast
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = "sgpu_lightning"
ROOT = Path(__file__).parents[1] / PACKAGE

# The stages in the order of the data's way. A stage imports stages above it, never one below or beside it.
STAGES = [
    {"errors": "The base of all errors.", "console": "The terminal.", "seeding": "Random generators."},
    {"answers": "Records, stores, grading: the contract that all stages share."},
    {"tasks": "Where questions and gold answers come from."},
    {"sampling": "A model answers N + 1 times.", "embedding": "Texts become black-box vectors."},
    {"features": "Vectors and texts become spectra and feature blocks."},
    {"gp": "The Gaussian process that gives P(correct)."},
    {"metrics": "Calibration and discrimination of probabilities."},
    {"data": "Files become labelled, split batches."},
    {"baselines": "Every other score of the same answers."},
    {"training": "The LightningModule and its fit."},
    {"evaluation": "Comparisons, transfer, curves and thresholds."},
    {"predictor": "The portable predictor."},
    {"testbed": "Toy models trained in seconds, and the demo."},
    {"cli": "The command line."},
]
LOOSE = ("errors.py", "console.py", "seeding.py")  # the only modules beside the folders, dunder files aside
REPEATED = ("__init__.py", "registry.py")  # the only file names that may occur twice
LONGEST_FUNCTION, MOST_FILES, MEDIAN, P90 = 60, 13, 120, 250

FILES = sorted(ROOT.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


class Arrow(NamedTuple):
    """One module imports another."""

    importer: str
    imported: str

    def __str__(self) -> str:
        return f"{self.importer} -> {self.imported}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def nearest_module(name: str) -> str | None:
    """The module that a dotted name is, or is in; None outside the package."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or None


def imported_names(path: Path) -> Iterator[str]:
    """Dotted names that a file imports anywhere: at its top, in functions, for type checking, or by a string."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in ast.walk(TREES[path]):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                yield from (".".join([*base, *([module] if module else []), alias.name]) for alias in names)
            case ast.Constant(value=str(text)) if re.fullmatch(rf"{PACKAGE}(\.\w+)+(:\w+)?", text):
                yield text.replace(":", ".")


@cache
def draw_imports() -> frozenset[Arrow]:
    """All imports within the package; the lazy public names of the package itself are left out."""
    arrows = set()
    for importer, path in MODULES.items():
        found = {nearest_module(name) for name in imported_names(path) if name.split(".")[0] == PACKAGE}
        arrows |= {Arrow(importer, name) for name in found if name and name not in (importer, PACKAGE)}
    return frozenset(arrow for arrow in arrows if arrow.importer != PACKAGE)


def stage_of(module: str) -> str:
    """The folder below the package that a module is in, or its own name if it is loose."""
    return module.split(".")[1] if "." in module else module


def find_cycles(arrows: frozenset[Arrow] | set[Arrow]) -> list[str]:
    """Each set of modules that import each other, as one closed path."""
    targets: dict[str, set[str]] = defaultdict(set)
    for arrow in arrows:
        targets[arrow.importer].add(arrow.imported)
    cycles, seen = [], set()
    for start in sorted(targets):
        before: dict[str, str] = {}
        queue = [start]
        while queue and start not in before:
            module = queue.pop(0)
            for target in sorted(targets[module] - before.keys()):
                before[target] = module
                queue.append(target)
        if start in before:
            way = [start]
            while (module := before[way[-1]]) != start:
                way.append(module)
            if not seen & set(way):
                cycles.append(" -> ".join([start, *reversed(way)]))
            seen |= set(way)
    return cycles


def wrong_way(arrows: frozenset[Arrow] | set[Arrow]) -> list[str]:
    """Imports of a stage that comes later, or beside the importer's."""
    position = {name: i for i, level in enumerate(STAGES) for name in level}
    return sorted(
        str(arrow)
        for arrow in arrows
        if (one := stage_of(arrow.importer)) != (other := stage_of(arrow.imported))
        and not one.startswith("__")
        and not other.startswith("__")
        and position[one] <= position[other]
    )


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def long_functions() -> list[str]:
    functions = ((path, node) for path in FILES for node in ast.walk(TREES[path]) if hasattr(node, "args"))
    return [
        f"{path.relative_to(ROOT)}: {node.name} has {body_lines(node)} lines"
        for path, node in functions
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > LONGEST_FUNCTION
    ]


def line_counts() -> list[int]:
    """Lines of the package's files, those named ``__init__.py`` aside."""
    return sorted(len(path.read_text(encoding="utf-8").splitlines()) for path in FILES if path.name != "__init__.py")


def expect_none(found: Sequence[str]) -> None:
    assert not found, "\n" + "\n".join(found)


def test_no_modules_import_each_other():
    expect_none(find_cycles(draw_imports()))


def test_imports_go_from_later_stages_to_earlier_ones():
    expect_none(wrong_way(draw_imports()))


def test_every_folder_is_a_stage():
    folders = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()}
    assert folders == {name for level in STAGES for name in level} - {name.removesuffix(".py") for name in LOOSE}


def test_only_what_everybody_needs_is_loose_at_the_top():
    assert sorted(path.name for path in ROOT.glob("*.py") if not path.name.startswith("__")) == sorted(LOOSE)


def test_no_file_name_occurs_twice():
    counts = Counter(path.name for path in FILES if path.name not in REPEATED)
    twice = [name for name, count in counts.items() if count > 1]
    expect_none([str(path.relative_to(ROOT)) for path in FILES if path.name in twice])


def test_folders_are_small():
    counts = Counter(path.parent for path in FILES)
    large = [(folder.relative_to(ROOT), count) for folder, count in counts.items() if count > MOST_FILES]
    expect_none([f"{folder}/ holds {count} files, at most {MOST_FILES} are allowed" for folder, count in large])


def test_functions_are_short():
    expect_none(long_functions())


def test_files_are_short():
    counts = line_counts()
    assert statistics.median(counts) <= MEDIAN
    assert statistics.quantiles(counts, n=10)[-1] <= P90


@pytest.mark.parametrize(
    ("arrows", "cycle"),
    [
        ([("p.a", "p.b"), ("p.b", "p.c"), ("p.c", "p.d"), ("p.d", "p.b")], ["p.b -> p.c -> p.d -> p.b"]),
        ([("p.a", "p.b"), ("p.b", "p.a")], ["p.a -> p.b -> p.a"]),
        ([("p.a", "p.b"), ("p.a", "p.c"), ("p.b", "p.c")], []),
    ],
)
def test_a_cycle_is_found_and_named(arrows, cycle):
    assert find_cycles({Arrow(*arrow) for arrow in arrows}) == cycle


@pytest.mark.parametrize(("one", "other"), [("answers.judge", "sampling.local"), ("embedding.a", "sampling.b")])
def test_an_arrow_to_a_later_stage_is_found_and_named(one, other):
    arrows = {Arrow(f"{PACKAGE}.{one}", f"{PACKAGE}.{other}"), Arrow(f"{PACKAGE}.cli.main", f"{PACKAGE}.errors")}
    assert wrong_way(arrows) == [f"{PACKAGE}.{one} -> {PACKAGE}.{other}"]


def draw() -> str:
    """The stages, what each imports with the number of imports, and the measures."""
    between = Counter((stage_of(arrow.importer), stage_of(arrow.imported)) for arrow in draw_imports())
    files = Counter(stage_of(module) for module in MODULES)
    lines = []
    for level in STAGES:
        for stage, sentence in level.items():
            lines.append(f"{stage:11}{files[stage]:3} files  {sentence}")
            order = [name for other in STAGES for name in other]
            imported = [f"{name} {between[stage, name]}" for name in order if name != stage and between[stage, name]]
            lines += [f"{'':11}imports    {', '.join(imported)}"] if imported else []
    counts = line_counts()
    across = sum(count for (one, other), count in between.items() if one != other)
    lines += [
        "",
        f"{sum(between.values())} imports, {across} of them between stages: {len(find_cycles(draw_imports()))} cycles, "
        f"{len(wrong_way(draw_imports()))} of a later stage",
        f"{len(counts)} files: median {statistics.median(counts):.0f} lines, 90th percentile "
        f"{statistics.quantiles(counts, n=10)[-1]:.0f}, longest {counts[-1]}; "
        f"{len(long_functions())} functions of more than {LONGEST_FUNCTION} lines",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(draw())
