"""Draws of bootstrap resamples: groups of answers drawn with replacement, as counts of each answer."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import torch
from torch import Tensor

_MAX_COUNTS = 2**22  # counts held at once: 32 MiB in float64


def group_numbers(groups: Sequence[Hashable] | None, count: int) -> Tensor:
    """Number the groups of the answers in order of appearance, int64 [count].

    Args:
        groups: Group of each answer; None for one group for each answer.
        count: Number of answers.

    Raises:
        ValueError: If there is not one group for each answer.
    """
    if groups is None:
        return torch.arange(count)
    if len(groups) != count:
        raise ValueError(f"`groups`: expected {count}, one for each answer, got {len(groups)}")
    number: dict[Hashable, int] = {}
    return torch.tensor([number.setdefault(group, len(number)) for group in groups])


def fold_indices(folds: Tensor | None, count: int) -> list[Tensor]:
    """Indices of the answers of each fold, int64 [m] each.

    Args:
        folds: Number of each answer's fold, shape ``(count,)``; None for one fold of all answers.
        count: Number of answers.

    Raises:
        ValueError: If ``folds`` is of another shape.
    """
    if folds is None:
        return [torch.arange(count)]
    if folds.shape != (count,):
        raise ValueError(f"`folds`: expected shape ({count},), one for each answer, got {tuple(folds.shape)}")
    return [(folds.cpu() == fold).nonzero().squeeze(1) for fold in sorted(set(folds.tolist()))]


def resample_counts(group: Tensor, num_resamples: int, generator: torch.Generator) -> Iterator[tuple[slice, Tensor]]:
    """How often each answer is drawn in each resample.

    Args:
        group: Number of each answer's group, int64 [n].
        num_resamples: Number of resamples R.
        generator: Random generator that draws the groups.

    Yields:
        A slice of the resamples and their counts, float64 [r, n], in batches that bound the memory.
    """
    group_index = torch.unique(group, return_inverse=True)[1]
    size = int(group_index.max()) + 1
    rows = max(1, _MAX_COUNTS // len(group))
    for start in range(0, num_resamples, rows):
        span = slice(start, min(start + rows, num_resamples))
        drawn = torch.randint(size, (span.stop - span.start, size), generator=generator)
        counted = torch.zeros(drawn.shape, dtype=torch.float64)
        counted.scatter_add_(1, drawn, torch.ones((), dtype=torch.float64).expand_as(drawn))
        yield span, counted if size == len(group) else counted[:, group_index]
