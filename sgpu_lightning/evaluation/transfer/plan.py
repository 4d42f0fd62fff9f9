"""What is fitted on what, and evaluated on what; and what is refused, because it would leak or cannot be."""

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
    """A transfer: what is fitted on, and what is evaluated.

    Args:
        sources: Names of the evaluation sets that are pooled to fit on.
        target: Name of the one to evaluate on.
    """

    sources: tuple[str, ...]
    target: str

    @property
    def source(self) -> str:
        """The sources in one word."""
        return self.sources[0] if len(self.sources) == 1 else f"{len(self.sources)} others"

    @property
    def in_model(self) -> bool:
        """Whether source and target are the same set, evaluated by cross-validation."""
        return self.sources == (self.target,)


def load_sets(
    paths: Sequence[str], load: Callable[[Path], EvaluationSet]
) -> tuple[dict[str, EvaluationSet], dict[str, str]]:
    """Load each file or store once.

    Args:
        paths: Files and stores; one may be named several times.
        load: Loads one.

    Returns:
        The sets by name, and each path's name.

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
                "one, since tables go by names"
            )
        sets[found.name], names[path] = found, found.name
    return sets, {path: names[where] for path, where in resolved.items()}


def matrix_pairs(sources: Sequence[str], targets: Sequence[str]) -> list[Pair]:
    """Every source to every target."""
    return [Pair((source,), target) for source in sources for target in targets]


def leave_one_out_pairs(sets: Sets, by: LeaveOut) -> list[Pair]:
    """Each set as the target of all that differ from it.

    Args:
        sets: By name.
        by: ``model``: fitted on the other models' answers to the same datasets. ``dataset``: on all other datasets.
            ``modality``: on all of the other modality. ``set``: on all other sets.

    Raises:
        EvaluationError: If a set does not say what it is of, or no set has a source.
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
    """Refuse a pair whose vectors do not match, or whose figures would not be of unseen questions.

    Raises:
        EvaluationError: Naming source and target, what they share, and what to change.
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
