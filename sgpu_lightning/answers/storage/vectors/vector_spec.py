"""Specification of a vector set: what made its vectors, and which vector sets may replace each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorSpec:
    """The source of a vector set.

    Args:
        kind: ``encoder`` for embeddings (black-box) or ``hidden`` for hidden states (white-box).
        source: Name of the encoder or of the generating model.
        dim: Dimension d of the vectors.
        revision: Fingerprint of the source's weights; None if unknown.
        layer: 0-based decoder layer; None for an encoder.
        num_layers: Number of decoder layers of the model; None for an encoder, or if unknown.
        token: ``last`` for the answer's last token or ``mean`` over its tokens; None for an encoder.
    """

    kind: Literal["encoder", "hidden"]
    source: str
    dim: int
    revision: str | None = None
    layer: int | None = None
    num_layers: int | None = None
    token: Literal["last", "mean"] | None = None

    @property
    def name(self) -> str:
        """Name of the vector set in a store: for example ``layer2-last``, or the encoder's name as a folder name."""
        if self.kind == "hidden":
            return f"layer{self.layer}-{self.token}"
        last = self.source.strip("/").split("/")[-1]
        return "".join(c if c.isalnum() or c in "-_." else "-" for c in last).strip(".") or "encoder"

    def describe(self) -> str:
        """Description of the source for messages, as one phrase."""
        if self.kind == "hidden":
            return f"hidden states of {self.source}, layer {self.layer} of {self.num_layers}, {self.token} token"
        return f"encoder {self.source}" + (f" (revision {self.revision[:12]})" if self.revision else "")

    def matches(self, other: VectorSpec) -> bool:
        """Whether a predictor fitted on these vectors accepts the other vectors.

        Encoders must be the same. Hidden states may come from another model, because the spectrum does not depend on
        the dimension of the vectors. They must have the same token rule and come from the same layer; in a model of
        another depth, from the same relative depth.

        Args:
            other: Specification of the other vectors.
        """
        if self.kind != other.kind:
            return False
        if self.kind == "encoder":
            return self.revision == other.revision if self.revision and other.revision else self.source == other.source
        return self.token == other.token and self._same_layer(other)

    def _same_layer(self, other: VectorSpec) -> bool:
        if self.source == other.source or None in (self.layer, other.layer):
            return self.layer == other.layer
        if not self.num_layers or not other.num_layers:
            return True  # the relative depth is unknown
        # Equal to within one layer: the middle layer of 29 is the 14th, of 32 the 16th.
        apart = abs(self.layer / self.num_layers - other.layer / other.num_layers)  # type: ignore[operator]
        return apart <= 1 / min(self.num_layers, other.num_layers)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready keys and values."""
        return asdict(self)


def specs_match(ours: Sequence[VectorSpec], theirs: Sequence[VectorSpec]) -> bool:
    """Whether both have the same number of vector sets and each pair matches; see `VectorSpec.matches`.

    Args:
        ours: Specifications of the vectors that a predictor was fitted on, one per layer.
        theirs: Specifications of the other vectors, in the same order.
    """
    return len(ours) == len(theirs) and all(a.matches(b) for a, b in zip(ours, theirs, strict=True))


def describe_specs(specs: Sequence[VectorSpec]) -> str:
    """Description of all specifications for messages, as one phrase."""
    return "; ".join(spec.describe() for spec in specs)
