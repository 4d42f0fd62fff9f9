"""Split of answer sets into training, validation and test sets, by group. A group is never in two splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from sgpu_lightning.answers.groups import text_hash
from sgpu_lightning.errors import SGPUError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


class SplitError(SGPUError):
    """A split that would leak labels, or leave nothing to fit on."""


def split_of(group: str, val_fraction: float, test_fraction: float, seed: int = 0) -> Split:
    """Assign a group to a split by a hash of its name; the split is the same in every file and on every machine."""
    place = text_hash(f"{seed}\n{group}") / 2**64
    if place < test_fraction:
        return "test"
    return "val" if place < test_fraction + val_fraction else "train"


def split_indices(
    groups: Sequence[str], given: Mapping[Split, Sequence[int]], fractions: tuple[float, float], seed: int
) -> dict[Split, list[int]]:
    """Find the positions of the answer sets of each split, sorted.

    Args:
        groups: Group of each answer set.
        given: Positions of the sets that were given for each split. If no validation or test sets were given, they are
            split off the training sets.
        fractions: Proportions of groups for validation and test.
        seed: Random seed of the split.

    Raises:
        SplitError: If a group is in two splits.
    """
    found: dict[Split, list[int]] = {split: list(given[split]) for split in SPLITS} | {"train": []}
    val_fraction, test_fraction = (
        0.0 if given[split] else fraction for split, fraction in zip(SPLITS[1:], fractions, strict=True)
    )
    for i in given["train"]:
        found[split_of(groups[i], val_fraction, test_fraction, seed)].append(i)
    refuse_leaks(groups, found)
    return {split: sorted(rows) for split, rows in found.items()}


def check_fractions(val_fraction: float, test_fraction: float) -> None:
    """Refuse fractions that are negative or leave nothing to train on."""
    if min(val_fraction, test_fraction) < 0 or val_fraction + test_fraction >= 1:
        raise SplitError(
            "val_fraction and test_fraction: expected numbers >= 0 whose sum is below 1, "
            f"got {val_fraction} and {test_fraction}"
        )


def refuse_leaks(groups: Sequence[str], indices: Mapping[Split, Sequence[int]]) -> None:
    """Refuse groups that are in two splits.

    Args:
        groups: Group of each answer set.
        indices: Positions of each split's answer sets.

    Raises:
        SplitError: If a group is in two splits; the message names the first such group.
    """
    owner: dict[str, Split] = {}
    for split, rows in indices.items():
        for i in rows:
            other = owner.setdefault(groups[i], split)
            if other != split:
                raise SplitError(
                    f"group '{groups[i][:80]}' is in both the {other} and the {split} sets: expected each question in "
                    "one split only; remove it from one of the files"
                )


def require_two_classes(labels: Sequence[int], sizes: Mapping[Split, int], *, validated: bool) -> None:
    """Refuse training labels that a classifier cannot be fitted on.

    Args:
        labels: Labels of the training sets.
        sizes: Number of labelled sets in each split.
        validated: Whether validation sets are needed.

    Raises:
        SplitError: If a split is empty or the labels are of one class.
    """
    if not sizes["train"] or (validated and not sizes["val"]):
        wanted = "to train and to validate on" if validated else "to train on"
        raise SplitError(
            f"expected labelled sets {wanted}, got {dict(sizes)}; give more labelled sets, "
            "or change val_fraction and test_fraction"
        )
    if len(set(labels)) < 2:
        raise SplitError(
            f"all {len(labels)} training labels are {labels[0]}: expected both right (1) and wrong (0) answers; "
            "check the grader and the gold answers"
        )
