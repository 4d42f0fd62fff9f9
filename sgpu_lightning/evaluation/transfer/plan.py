"""Pairs of sources and targets, and the checks that refuse pairs with leaks or incompatible vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sgpu_lightning.answers.storage.vectors import describe_specs, specs_match
from sgpu_lightning.errors import EvaluationError
from sgpu_lightning.evaluation.common.evaluation_set import EvaluationSet
from sgpu_lightning.evaluation.common.evaluation_settings import LeaveOut, SharedQuestions

Sets = Mapping[str, EvaluationSet]
_KEYS: dict[LeaveOut, str] = {"model": "model", "dataset": "dataset", "modality": "modality", "set": "id"}


@dataclass(frozen=True)
class Pair:
    """One transfer, from the sources fitted on to the target evaluated on.

    Args:
        sources: Names of the evaluation sets that are pooled for the fit.
        target: Name of the evaluation set to evaluate on.
    """

    sources: tuple[str, ...]
    target: str

    @property
    def source(self) -> str:
        """The source's name, or the number of pooled sources."""
        return self.sources[0] if len(self.sources) == 1 else f"{len(self.sources)} others"

    @property
    def in_domain(self) -> bool:
        """Whether source and target are the same evaluation set, which is then evaluated by cross-validation."""
        return self.sources == (self.target,)


def load_sets(
    paths: Sequence[str], load: Callable[[Path], EvaluationSet]
) -> tuple[dict[str, EvaluationSet], dict[str, str]]:
    """Load each file or store once.

    Args:
        paths: Paths of files and stores; one may be given several times.
        load: Function that loads one of them.

    Returns:
        The evaluation sets by name, and the name of each path.

    Raises:
        EvaluationError: If two different files or stores have the same name.
    """
    sets: dict[str, EvaluationSet] = {}
    names: dict[Path, str] = {}
    resolved = {path: Path(path).expanduser().resolve() for path in paths}
    for path in dict.fromkeys(resolved.values()):
        found = load(path)
        if found.name in sets:
            first = next(other for other, name in names.items() if name == found.name)
            raise EvaluationError(
                f"{first} and {path}: expected files and stores of different names, got '{found.name}' twice; rename "
                "one, because tables identify them by name"
            )
        sets[found.name], names[path] = found, found.name
    return sets, {path: names[where] for path, where in resolved.items()}


def matrix_pairs(sources: Sequence[str], targets: Sequence[str]) -> list[Pair]:
    """Pair every source with every target."""
    return [Pair((source,), target) for source in sources for target in targets]


def leave_one_out_pairs(sets: Sets, by: LeaveOut) -> list[Pair]:
    """Pair each evaluation set, as the target, with all sets that differ from it, as its sources.

    Args:
        sets: Evaluation sets by name.
        by: Property in which sources differ from the target. ``model``: the other models' answers to the same datasets.
            ``dataset``: all other datasets. ``modality``: all sets of the other modality. ``set``: all other sets.

    Raises:
        EvaluationError: If a set does not name its model or dataset, or no set has a source.
    """
    pairs = []
    for name, target in sets.items():
        sources = tuple(other for other, found in sets.items() if other != name and _differs(found, target, by))
        if sources:
            pairs.append(Pair(sources, name))
    if not pairs:
        raise EvaluationError(
            f"--leave_one_out {by}: no set has another {_KEYS[by]} to be fitted on: "
            + "; ".join(f"{name} is of {_describe(found)}" for name, found in sets.items())
            + "; give more files, or leave out by something else (model, dataset, modality, set)"
        )
    return pairs


def _differs(found: EvaluationSet, target: EvaluationSet, by: LeaveOut) -> bool:
    for one in (found, target):
        if by in ("model", "dataset") and not all(one.models if by == "model" else one.datasets):
            raise EvaluationError(
                f"{one.name}: expected records that name their {by} (key '{by}') to leave one {by} out, got some "
                "without; add it, or use --leave_one_out set"
            )
    if by == "model":
        return not set(found.models) & set(target.models) and bool(set(found.datasets) & set(target.datasets))
    if by == "dataset":
        return not set(found.datasets) & set(target.datasets)
    return by == "set" or not set(found.modalities) & set(target.modalities)


def _describe(found: EvaluationSet) -> str:
    return f"{'/'.join(found.models)}, {'/'.join(found.datasets)}, {'/'.join(found.modalities)}"


def check_pair(pair: Pair, sets: Sets, shared_questions: SharedQuestions) -> None:
    """Check that the vectors of a pair match, and that its target is evaluated on unseen questions.

    Args:
        pair: The pair.
        sets: Evaluation sets by name.
        shared_questions: Whether shared questions are refused, or cross-fitted.

    Raises:
        EvaluationError: If a check fails; the message names source and target, what they share and what to change.
    """
    target = sets[pair.target]
    for source in (sets[name] for name in pair.sources):
        if not specs_match(source.specs, target.specs):
            raise EvaluationError(
                f"{target.name}: expected vectors that match those of {source.name}, which are "
                f"{describe_specs(source.specs)}; got {describe_specs(target.specs)}; choose --encoder, --layers or "
                "--token that both have"
            )
        if shared_questions == "refuse":
            _refuse_shared(source, target)


def _refuse_shared(source: EvaluationSet, target: EvaluationSet) -> None:
    advice = "--shared_questions cross_fit, which fits without the questions it evaluates on"
    if source is target:
        raise EvaluationError(
            f"{target.name} is both source and target: its figures would be in-sample; give another target, or "
            f"{advice} (cross-validation)"
        )
    shared = sorted(set(source.groups) & set(target.groups))
    if shared:
        raise EvaluationError(
            f"{target.name}: {len(shared)} of its {len(set(target.groups))} questions (groups), such as "
            f"'{shared[0][:60]}', are in source {source.name} too: figures would not be of unseen questions; give "
            f"other files, or {advice}"
        )
