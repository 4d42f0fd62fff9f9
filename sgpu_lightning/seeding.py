"""Generators of random numbers seeded by several numbers."""

from __future__ import annotations

import hashlib

import torch


def generator_of(*parts: int) -> torch.Generator:
    """A generator for these numbers, in this order.

    torch's own takes 32 bits of a seed without a word: numbers shifted beside each other would be lost.
    """
    digest = hashlib.sha256(",".join(str(part) for part in parts).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))
