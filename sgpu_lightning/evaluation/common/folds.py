"""Cross-validation folds by group, so that no question is both fitted on and evaluated on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from sgpu_lightning.errors import EvaluationError


def group_folds(groups: Sequence[str], labels: Tensor, num_folds: int = 5, seed: int = 0) -> Tensor:
    """Assign each answer set to a fold.

    Groups are sorted by a hash of their name, and each goes to the fold with the fewest answer sets so far. Folds are
    therefore of about equal size and do not depend on the order of the answer sets.

    Args:
        groups: Groups of the answer sets, [n].
        labels: 1.0 for a right answer, 0.0 for a wrong one, [n].
        num_folds: Number of folds, at least 2.
        seed: Seed of the hash.

    Returns:
        The fold of each answer set, int64 [n].

    Raises:
        EvaluationError: If there are fewer groups than folds, or if a fold or its complement has a single class.
    """
    _check_group_count(groups, num_folds)
    sizes: dict[str, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    filled = [0] * num_folds
    fold_of: dict[str, int] = {}
    for group in sorted(sizes, key=lambda name: _hash_group(name, seed)):
        fold = filled.index(min(filled))
        fold_of[group] = fold
        filled[fold] += sizes[group]
    folds = torch.tensor([fold_of[group] for group in groups])
    require_both_classes(folds, labels, num_folds)
    return folds


def hashed_folds(groups: Sequence[str], num_folds: int = 5, seed: int = 0) -> Tensor:
    """Assign each answer set to a fold by a hash of its group alone, so that a group's fold is the same in every file.

    Folds are of equal size only on average; `group_folds` balances them within one file.

    Args:
        groups: Groups of the answer sets, [n].
        num_folds: Number of folds, at least 2.
        seed: Seed of the hash.

    Returns:
        The fold of each answer set, int64 [n].

    Raises:
        EvaluationError: If there are fewer groups than folds.
    """
    _check_group_count(groups, num_folds)
    return torch.tensor([int.from_bytes(_hash_group(group, seed)[:8], "big") % num_folds for group in groups])


def require_both_classes(folds: Tensor, labels: Tensor, num_folds: int, name: str = "") -> None:
    """Check that every fold and its complement have right and wrong answers.

    Args:
        folds: Folds of the answer sets, [n].
        labels: 1.0 for a right answer, 0.0 for a wrong one, [n].
        num_folds: Number of folds.
        name: Name of the file or store, for the message.

    Raises:
        EvaluationError: If one has a single class; the message names the first such fold.
    """
    where = f"{name}: " if name else ""
    for fold in range(num_folds):
        for side, rows in (("it holds", folds == fold), ("the other folds hold", folds != fold)):
            if len(torch.unique(labels[rows])) < 2:
                raise EvaluationError(
                    f"{where}fold {fold}: {side} {int(rows.sum())} answer sets of one class: expected right and "
                    "wrong answers; use fewer folds (--folds), or more labelled answer sets"
                )


def _check_group_count(groups: Sequence[str], num_folds: int) -> None:
    if num_folds < 2:
        raise EvaluationError(f"folds: expected at least 2, got {num_folds}")
    if (count := len(set(groups))) < num_folds:
        advice = "use fewer folds (--folds)" if count > 1 else "give answer sets of other questions as well"
        raise EvaluationError(
            f"expected at least {num_folds} groups, one for each fold, got {count} in {len(groups)} answer sets; "
            f"{advice}"
        )


def _hash_group(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\n{name}".encode("utf-8", "surrogatepass")).digest()
