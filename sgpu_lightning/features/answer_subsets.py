"""Answer subsets: answer sets reduced to some of their answers, drawn at random.

A fit on subsets in addition to the whole sets also calibrates P(correct) for fewer answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sgpu_lightning.features.answer_batch import AnswerBatch
from sgpu_lightning.seeding import generator_of


@dataclass(frozen=True, slots=True)
class AnswerSubset:
    """Draws a subset of the answers of each answer set. The scored answer stays the same.

    Args:
        seed: Random seed of the draw, combined with the position of a set in its source.
        fewest: Fewest answers in a subset, at least 2. Sets with no more answers keep all of them.
        most: Most answers in a subset; None for no limit.
    """

    seed: int
    fewest: int
    most: int | None = None

    def __call__(self, batch: AnswerBatch) -> AnswerBatch:
        """Return the same answer sets with the mask of the drawn answers."""
        assert batch.mask is not None
        # The seed includes the position, so that a subset does not depend on what was computed before it.
        generator = generator_of(self.seed, int(batch.index[0]))
        return replace(batch, mask=draw_answers(batch.mask, self.fewest, generator, self.most))


def draw_answers(mask: Tensor, fewest: int, generator: torch.Generator, most: int | None = None) -> Tensor:
    """Draw a mask of answers. Each number from ``fewest`` to ``most`` is equally likely for each set.

    Args:
        mask: True for real answers, bool [B, N].
        fewest: Fewest answers drawn, at least 2. Sets with no more answers keep all of them.
        generator: Random number generator.
        most: Most answers drawn, at least ``fewest``; None for no limit.
    """
    counts = mask.sum(1)
    least, upper = counts.clamp_max(fewest), counts if most is None else counts.clamp_max(most)
    drawn = least + (torch.rand(len(mask), generator=generator) * (upper - least + 1)).long()
    order = torch.rand(mask.shape, generator=generator).masked_fill(~mask, torch.inf)
    return order.argsort(1).argsort(1) < drawn.unsqueeze(1)


def subset_weight(weight: Tensor | None, size: int, count: int) -> Tensor | None:
    """Divide the weight of each set equally among its ``count`` subsets.

    Args:
        weight: Number of independent answer sets that each of the n sets counts for, [n]; None if each counts for one.
        size: Number of sets n.
        count: Number of subsets of each set, at least 1. For 1 the weights are returned unchanged.

    Returns:
        The weights of the first subset of every set, then of the second, and so on, [count * n].
    """
    if count == 1:
        return weight
    whole = torch.ones(size, dtype=torch.float64) if weight is None else weight
    return (whole / count).repeat(count)
