"""Answers to score, made up in several ways."""

from __future__ import annotations

from fractions import Fraction

import torch
from hypothesis import strategies as st
from torch import Tensor


def random_answers(n: int, seed: int = 0, steps: int | None = None) -> tuple[Tensor, Tensor]:
    """n calibrated probabilities, rounded to multiples of 1 / steps if given (many ties), and their labels."""
    generator = torch.Generator().manual_seed(seed)
    probs = torch.rand(n, generator=generator, dtype=torch.float64)
    if steps is not None:
        probs = (probs * steps).round() / steps
    labels = (torch.rand(n, generator=generator, dtype=torch.float64) < probs).long()
    return probs, labels


# Fractions k / n lie on the edges of bins and tie often; floats do neither.
probabilities = st.one_of(
    st.floats(0, 1),
    st.fractions(Fraction(0), Fraction(1), max_denominator=15).map(float),
)


@st.composite
def answers(draw: st.DrawFn, max_size: int = 60) -> tuple[Tensor, Tensor]:
    pairs = draw(st.lists(st.tuples(probabilities, st.integers(0, 1)), min_size=1, max_size=max_size))
    return torch.tensor([p for p, _ in pairs], dtype=torch.float64), torch.tensor([y for _, y in pairs])
