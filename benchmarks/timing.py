"""Timing that is robust on a busy machine: interleaved rounds, of which the best or the median is taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

Seconds = dict[str, list[float]]


def seconds_of(action: Callable[[], object]) -> float:
    """Measure the wall-clock seconds of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def interleaved(variants: Mapping[str, Callable[[], object]], rounds: int) -> Seconds:
    """Time all variants in rounds. Every other round is in reverse order, so that a slow period affects all variants.

    Args:
        variants: The calls to time, by name.
        rounds: Number of timings of each variant; none is discarded, so warm up before.
    """
    seconds: Seconds = {name: [] for name in variants}
    for turn in range(rounds):
        names = list(variants) if turn % 2 == 0 else list(variants)[::-1]
        for name in names:
            seconds[name].append(seconds_of(variants[name]))
    return seconds


def times_slower(seconds: Seconds, one: str, other: str) -> float:
    """Compute how many times longer ``one`` took than ``other``: the median over rounds of the ratio within a round."""
    return median(a / b for a, b in zip(seconds[one], seconds[other], strict=True))


def summary(seconds: Seconds) -> dict[str, dict[str, float | int]]:
    """Summarise each variant by its best and median time and the number of timings, ready for JSON."""
    return {
        name: {"best_s": min(values), "median_s": median(values), "repetitions": len(values)}
        for name, values in seconds.items()
    }
