"""Settings of how answers are sampled."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from sgpu_lightning.errors import SamplingError


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """How answers are sampled. Every field is written to the store's manifest.

    Args:
        num_answers: Number N of sampled answers per question, at least 2. The greedy answer is generated in addition.
        temperature: Divides the scores before sampling, above 0. The greedy answer does not depend on it.
        top_k: Sample from the k most likely tokens only, at least 1; None: from all tokens.
        top_p: Sample from the smallest set of most likely tokens whose total probability reaches this, in (0, 1];
            None: from all tokens.
        max_new_tokens: Length limit of an answer in tokens, at least 1; longer answers are cut off there.
        seed: Random seed, at least 0. Seed, question id and answer number determine every draw.

    Raises:
        SamplingError: If a field is out of range; the message names the field, what was expected and what was got.
    """

    num_answers: int = 10
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    max_new_tokens: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        _require_integer("num_answers", self.num_answers, 2, "; disagreement needs more than one sample")
        _require_integer("max_new_tokens", self.max_new_tokens, 1)
        _require_integer("seed", self.seed, 0)
        if self.top_k is not None:
            _require_integer("top_k", self.top_k, 1, "; None samples from all tokens")
        if not _is_number(self.temperature) or not 0 < self.temperature < math.inf:
            hint = "; the greedy answer is always generated in addition"
            raise SamplingError(f"temperature: expected a number above 0, got {self.temperature!r}{hint}")
        if self.top_p is not None and (not _is_number(self.top_p) or not 0 < self.top_p <= 1):
            raise SamplingError(f"top_p: expected a number in (0, 1] or None, got {self.top_p!r}")

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON-ready keys and values."""
        return asdict(self)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _require_integer(name: str, value: object, least: int, hint: str = "") -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SamplingError(f"{name}: expected an integer of at least {least}, got {value!r}{hint}")
