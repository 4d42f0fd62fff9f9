"""Generators of random numbers seeded by several numbers."""

from __future__ import annotations

import hashlib

import torch


def generator_of(*parts: int) -> torch.Generator:
    """Make a generator that is seeded by these numbers, in this order.

    The numbers are hashed, because torch silently uses only 32 bits of a seed, so that numbers packed into one integer
    would partly be lost.
    """
    digest = hashlib.sha256(",".join(str(part) for part in parts).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))
