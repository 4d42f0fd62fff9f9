"""Vectors of answer sets: what made them, and how a shard of them is laid out in memory and on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sgpu_lightning.errors import SGPUError

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

VectorDtype = Literal["float16", "float32"]


class VectorError(SGPUError):
    """Vectors that are not finite, zero, of another dimension, or made by something else than expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorSpec:
    """What made a vector set.

    Args:
        kind: ``encoder`` (black-box) or ``hidden`` (white-box hidden states).
        source: The encoder's or the generating model's name.
        dim: Length d of each vector.
        revision: Fingerprint of the source's weights, where known.
        layer: 0-based decoder layer, for hidden states.
        num_layers: How many decoder layers the model has, for hidden states.
        token: ``last`` or ``mean`` over the answer's tokens, for hidden states.
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
        """The vector set's name within a store: ``layer2-last``, or the encoder's name made safe for a folder."""
        if self.kind == "hidden":
            return f"layer{self.layer}-{self.token}"
        last = self.source.strip("/").split("/")[-1]
        return "".join(c if c.isalnum() or c in "-_." else "-" for c in last).strip(".") or "encoder"

    def describe(self) -> str:
        """One phrase for messages."""
        if self.kind == "hidden":
            return f"hidden states of {self.source}, layer {self.layer} of {self.num_layers}, {self.token} token"
        return f"encoder {self.source}" + (f" (revision {self.revision[:12]})" if self.revision else "")

    def matches(self, other: VectorSpec) -> bool:
        """Whether a predictor fitted on these vectors may be fed the other ones.

        Encoders must be the same. Hidden states may come from another model (the spectrum has no width), but
        by the same token rule, and from the same layer: in a model of other depth, from the same share of it.
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
            return True  # how deep they are is not known
        # Within a block: the middle one of 29 is the 14th, of 32 the 16th.
        apart = abs(self.layer / self.num_layers - other.layer / other.num_layers)  # type: ignore[operator]
        return apart <= 1 / min(self.num_layers, other.num_layers)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready keys and values."""
        return asdict(self)


def specs_match(ours: Sequence[VectorSpec], theirs: Sequence[VectorSpec]) -> bool:
    """Whether vectors of as many layers, each matching; see `VectorSpec.matches`."""
    return len(ours) == len(theirs) and all(a.matches(b) for a, b in zip(ours, theirs, strict=True))


def describe_specs(specs: Sequence[VectorSpec]) -> str:
    """All of them in one phrase for messages."""
    return "; ".join(spec.describe() for spec in specs)


@dataclass(slots=True)
class VectorShard:
    """The vectors of a run of answer sets.

    Args:
        answers: Vectors of all sets' answers, set after set, [sum of counts, d].
        counts: Number of answers of each set, [B].
        scored: Vector of each set's scored answer, [B, d].
        question: Cosine of each set's scored answer to its question, [B], 0 where there is no question; None for
            hidden states, which questions have none of.
    """

    answers: npt.NDArray[np.floating]
    counts: npt.NDArray[np.int64]
    scored: npt.NDArray[np.floating]
    question: npt.NDArray[np.floating] | None = None

    @classmethod
    def stack(
        cls, answers: Sequence[npt.NDArray[np.floating]], scored: Sequence[npt.NDArray[np.floating]]
    ) -> VectorShard:
        """From one [N, d] array and one [d] array for each set."""
        dims = {array.shape[-1] for array in (*answers, *scored)}
        if len(dims) != 1:
            raise VectorError(
                f"vectors of unequal dimensions {sorted(dims)}: expected one dimension for all answer sets"
            )
        counts = np.array([len(array) for array in answers], dtype=np.int64)
        return cls(np.concatenate(answers), counts, np.stack(scored))

    def is_bad(self) -> bool:
        """Whether a vector is not finite or zero: a quick look, `check` then says which."""
        with np.errstate(over="ignore", invalid="ignore"):
            squared = (np.einsum("nd,nd->n", array, array) for array in (self.answers, self.scored))
            return not all((np.isfinite(values) & (values > 0)).all() for values in squared)

    def check(self, ids: Sequence[str], where: str) -> None:
        """Refuse vectors that are not finite or zero, naming the answer set.

        Raises:
            VectorError: At the first bad vector, or if there are not as many as ids and counts say.
        """
        expected = len(ids), len(ids), int(self.counts.sum())
        if (len(self.counts), len(self.scored), len(self.answers)) != expected:
            raise VectorError(
                f"{where}: expected counts of {expected[0]}, scored vectors of {expected[1]} answer sets and "
                f"{expected[2]} answer vectors, got {len(self.counts)}, {len(self.scored)} and {len(self.answers)}"
            )
        norms = np.linalg.norm(self.answers.astype(np.float64), axis=1)
        owner = np.repeat(np.arange(len(ids)), self.counts)
        for values, owners in (
            (norms, owner),
            (np.linalg.norm(self.scored.astype(np.float64), axis=1), np.arange(len(ids))),
        ):
            bad = np.flatnonzero(~np.isfinite(values) | (values == 0))
            if len(bad):
                got = "a zero vector" if values[bad[0]] == 0 else "NaN or infinity"
                raise VectorError(
                    f"{where}: answer set '{ids[owners[bad[0]]]}': expected finite, non-zero vectors, got {got} "
                    f"({len(bad)} such vectors in all); check what made them"
                )


def shard_table(shard: VectorShard, ids: Sequence[str], dtype: VectorDtype, where: str) -> pa.Table:
    """A shard as a table for Parquet: ``id``, ``answers`` list<fixed_size_list<dtype>[d]>, ``scored`` fixed_size_list.

    And ``question`` float32, where the shard has it.

    Args:
        shard: The vectors.
        ids: Their answer sets.
        dtype: How values are stored.
        where: Named in errors.

    Raises:
        VectorError: If float16 cannot hold a vector (large hidden states overflow at 65504).
    """
    import pyarrow as pa

    shard.check(ids, where)
    dim = shard.answers.shape[1]
    with np.errstate(over="ignore"):
        flat, scored = (array.astype(dtype) for array in (shard.answers, shard.scored))
    if not (np.isfinite(flat).all() and np.isfinite(scored).all()):
        raise VectorError(f"{where}: a vector has values too large for {dtype}: use dtype float32")
    if not (flat.any(axis=1).all() and scored.any(axis=1).all()):
        raise VectorError(f"{where}: a vector has values too small for {dtype}: use dtype float32")
    offsets = np.concatenate([[0], np.cumsum(shard.counts)]).astype(np.int32)
    columns = {
        "id": pa.array(ids),
        "answers": pa.ListArray.from_arrays(pa.array(offsets), pa.FixedSizeListArray.from_arrays(flat.ravel(), dim)),
        "scored": pa.FixedSizeListArray.from_arrays(scored.ravel(), dim),
    }
    if shard.question is not None:
        columns["question"] = pa.array(shard.question.astype(np.float32))
    return pa.table(columns)


def read_shard(path: Path) -> VectorShard:
    """Read a `shard_table` from a Parquet file, as float32."""
    import pyarrow.parquet as pq

    names = [name for name in ("answers", "scored", "question") if name in pq.read_schema(path).names]
    table = pq.read_table(path, columns=names)
    answers, scored = (table.column(name).combine_chunks() for name in ("answers", "scored"))
    dim = scored.type.list_size
    values = answers.values.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    counts = np.diff(answers.offsets.to_numpy()).astype(np.int64)
    flat_scored = scored.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    question = table.column("question").to_numpy().copy() if "question" in names else None
    return VectorShard(values.reshape(-1, dim), counts, flat_scored.reshape(-1, dim), question)
