"""Metrics of counted answers by name, for `bootstrap` with other settings than the defaults.

``tally.ece`` is the tally form of the metric ``ece``, and so on for every metric in the registry that has one; for
example ``bootstrap_interval(partial(tally.ece, num_bins=10), probs, labels)``. A tally form takes a `Tally` and gives
one value for each resample, float64 [R]. The pure function of the same metric, in the same file, takes the
probabilities unrounded, keeps their device and can be differentiated; a test checks that the two forms agree.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from sgpu_lightning.metrics.functional.tally_counts import Tally, right_of_top, tally
from sgpu_lightning.metrics.registry import METRICS, bootstrap_names

__all__ = ["Tally", "right_of_top", "tally"]


def __getattr__(name: str) -> Callable[..., Tensor]:
    if name not in bootstrap_names():
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return METRICS[name].tally_form


def __dir__() -> list[str]:
    return sorted((*__all__, *bootstrap_names()))
