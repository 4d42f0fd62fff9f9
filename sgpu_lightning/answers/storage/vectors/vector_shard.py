"""A shard of vectors in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from sgpu_lightning.errors import SGPUError

if TYPE_CHECKING:
    import numpy.typing as npt

VectorDtype = Literal["float16", "float32"]


class VectorError(SGPUError):
    """Vectors that are not finite, are zero, or have another dimension or source than expected."""


@dataclass(slots=True)
class VectorShard:
    """The vectors of B consecutive answer sets.

    Args:
        answers: Vectors of the answers of all answer sets, one set after the other, [sum of counts, d].
        counts: Number of answers of each answer set, [B].
        scored: Vector of the scored answer of each answer set, [B, d].
        question: Cosine similarity of each scored answer to its question, [B]; 0 where the question is empty. None for
            hidden states, because they are not recorded for questions.
    """

    answers: npt.NDArray[np.floating]
    counts: npt.NDArray[np.int64]
    scored: npt.NDArray[np.floating]
    question: npt.NDArray[np.floating] | None = None

    @classmethod
    def stack(
        cls, answers: Sequence[npt.NDArray[np.floating]], scored: Sequence[npt.NDArray[np.floating]]
    ) -> VectorShard:
        """Build a shard without question similarities.

        Args:
            answers: Vectors of the answers, one [N, d] array per answer set.
            scored: Vector of the scored answer, one [d] array per answer set.

        Raises:
            VectorError: If the dimensions differ.
        """
        dims = {array.shape[-1] for array in (*answers, *scored)}
        if len(dims) != 1:
            raise VectorError(
                f"vectors of unequal dimensions {sorted(dims)}: expected one dimension for all answer sets"
            )
        counts = np.array([len(array) for array in answers], dtype=np.int64)
        return cls(np.concatenate(answers), counts, np.stack(scored))

    def is_bad(self) -> bool:
        """Whether any vector is zero or not finite; a fast test, after which `check` names the vector."""
        with np.errstate(over="ignore", invalid="ignore"):
            squared = (np.einsum("nd,nd->n", array, array) for array in (self.answers, self.scored))
            return not all((np.isfinite(values) & (values > 0)).all() for values in squared)

    def check(self, ids: Sequence[str], where: str) -> None:
        """Refuse vectors that are zero or not finite.

        Args:
            ids: Ids of the answer sets, [B].
            where: Place of the vectors, for error messages.

        Raises:
            VectorError: At the first bad vector, naming its answer set, or if the numbers of vectors do not agree with
                ``ids`` and ``counts``.
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
                    f"({len(bad)} such vectors in all); check the source of the vectors"
                )
