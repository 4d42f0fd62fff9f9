"""Folds by group: the same question never stands on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from sgpu_lightning.errors import EvaluationError


def group_folds(groups: Sequence[str], labels: Tensor, num_folds: int = 5, seed: int = 0) -> Tensor:
    """The fold of each answer set, int64 [n].

    Groups in the order of a hash of their name go where the fewest sets are, so that folds are of about equal size and
    do not depend on the order of the sets.

    Args:
        groups: Of the sets, [n].
        labels: 1.0 or 0.0, [n].
        num_folds: At least 2.
        seed: Changes the folds.

    Raises:
        EvaluationError: If there are fewer groups than folds, or a fold or the rest of one has a single class.
    """
    _require_enough(groups, num_folds)
    sizes: dict[str, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    filled = [0] * num_folds
    fold_of: dict[str, int] = {}
    for group in sorted(sizes, key=lambda name: _order(name, seed)):
        fold = filled.index(min(filled))
        fold_of[group] = fold
        filled[fold] += sizes[group]
    folds = torch.tensor([fold_of[group] for group in groups])
    require_both_classes(folds, labels, num_folds)
    return folds


def hashed_folds(groups: Sequence[str], num_folds: int = 5, seed: int = 0) -> Tensor:
    """The fold of each answer set by a hash of its group alone, int64 [n]: the same in whichever file a group stands.

    Folds are of like size only on average; `group_folds` makes them equal, for one file.

    Args:
        groups: Of the sets, [n].
        num_folds: At least 2.
        seed: Changes the folds.

    Raises:
        EvaluationError: If there are fewer groups than folds.
    """
    _require_enough(groups, num_folds)
    return torch.tensor([int.from_bytes(_order(group, seed)[:8], "big") % num_folds for group in groups])


def require_both_classes(folds: Tensor, labels: Tensor, num_folds: int, name: str = "") -> None:
    """Refuse folds of which one, or the rest of one, has a single class.

    Args:
        folds: Of the answer sets, [n].
        labels: 1.0 or 0.0, [n].
        num_folds: How many there are.
        name: Of the file or store, for the message.

    Raises:
        EvaluationError: Naming the first such fold.
    """
    where = f"{name}: " if name else ""
    for fold in range(num_folds):
        for side, rows in (("it holds", folds == fold), ("the others hold", folds != fold)):
            if len(torch.unique(labels[rows])) < 2:
                raise EvaluationError(
                    f"{where}fold {fold}: {side} {int(rows.sum())} answer sets of one class: expected right and "
                    "wrong answers; use fewer folds (--folds), or more labelled answer sets"
                )


def _require_enough(groups: Sequence[str], num_folds: int) -> None:
    if num_folds < 2:
        raise EvaluationError(f"folds: expected at least 2, got {num_folds}")
    if (count := len(set(groups))) < num_folds:
        advice = "use fewer folds (--folds)" if count > 1 else "give answer sets of other questions as well"
        raise EvaluationError(
            f"expected at least {num_folds} groups, one for each fold, got {count} in {len(groups)} answer sets; "
            f"{advice}"
        )


def _order(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\n{name}".encode("utf-8", "surrogatepass")).digest()
