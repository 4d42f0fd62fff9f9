"""Generators seeded by several numbers."""

from __future__ import annotations

import torch

from sgpu_lightning.seeding import generator_of


def test_each_number_and_their_order_count_however_large_they_are():
    seeds = [(0, 1), (1, 0), (1 << 40, 0), (2 << 40, 0), (0,), (0, 0), (-1, 0), (11, 1), (1, 11), (111,)]
    drawn = {tuple(torch.rand(3, generator=generator_of(*parts)).tolist()) for parts in seeds}
    assert len(drawn) == len(seeds)


def test_the_same_numbers_draw_the_same():
    first, again = (torch.rand(3, generator=generator_of(3, 7)) for _ in range(2))
    assert torch.equal(first, again)
