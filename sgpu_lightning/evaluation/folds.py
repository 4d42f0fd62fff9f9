"""Folds by group: the same question never stands on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from sgpu_lightning.evaluation.evalset import EvaluationError


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
    if num_folds < 2:
        raise EvaluationError(f"folds: expected at least 2, got {num_folds}")
    sizes: dict[str, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    if len(sizes) < num_folds:
        raise EvaluationError(
            f"expected at least {num_folds} groups, one for each fold, got {len(sizes)} in {len(groups)} answer sets; "
            "use fewer folds (--folds)"
        )
    filled = [0] * num_folds
    fold_of: dict[str, int] = {}
    for group in sorted(sizes, key=lambda name: _order(name, seed)):
        fold = filled.index(min(filled))
        fold_of[group] = fold
        filled[fold] += sizes[group]
    folds = torch.tensor([fold_of[group] for group in groups])
    for fold in range(num_folds):
        for side, rows in (("it", folds == fold), ("the others", folds != fold)):
            if len(torch.unique(labels[rows])) < 2:
                raise EvaluationError(
                    f"fold {fold}: {side} hold {int(rows.sum())} answer sets of one class: nothing can be fitted or "
                    "ranked; use fewer folds (--folds), or more labelled answer sets"
                )
    return folds


def _order(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\n{name}".encode("utf-8", "surrogatepass")).digest()
