"""Vectors given by the caller, checked and joined to their answer sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.storage.vectors import VectorError, VectorShard, VectorSpec
from sgpu_lightning.data.sources import ReadySource
from sgpu_lightning.predictor.artefact.predictor_config import PredictorConfig
from sgpu_lightning.predictor.predictor_errors import PredictorError

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class SetVectors:
    """Vectors of one answer set, as NumPy arrays or tensors on the CPU.

    Args:
        answers: Vectors of the N answers, [N, d], or [L, N, d] for L layers.
        scored: Vector of the scored answer, [d] or [L, d].
        question: The encoder's vector of the question, [d]; needed only if the predictor uses it.
        made_by: Origin of the vectors, one entry for each layer; None if they are of the predictor's own kind.
    """

    answers: Any
    scored: Any
    question: Any = None
    made_by: tuple[VectorSpec, ...] | None = None


def ready_source(records: Sequence[AnswerSet], vectors: Sequence[SetVectors], config: PredictorConfig) -> ReadySource:
    """Join records and the vectors given for them.

    Args:
        records: The answer sets.
        vectors: Their vectors, one entry for each set.
        config: The predictor's config.

    Raises:
        PredictorError: If the number of entries differs from the number of sets, or several origins are named.
        VectorError: If a shape is wrong, or a vector is zero or not finite.
    """
    if len(records) != len(vectors):
        raise PredictorError(f"vectors: expected {len(records)} entries, one for each answer set, got {len(vectors)}")
    layers = len(config.vectors)
    arrays = [
        _arrays(given, layers, len(record.answers), record.id) for given, record in zip(vectors, records, strict=True)
    ]
    made_by = {given.made_by for given in vectors if given.made_by is not None}
    if len(made_by) > 1:
        raise PredictorError(
            f"vectors: expected the same 'made_by' for all answer sets, got {len(made_by)} different ones"
        )
    specs = made_by.pop() if made_by else config.vectors
    shards = []
    for layer in range(layers):
        shard = VectorShard.stack([one[0][layer] for one in arrays], [one[1][layer] for one in arrays])
        shard.question = _question(vectors, shard)
        shard.check([record.id for record in records], "vectors")
        shards.append(shard)
    # The length of the given vectors overrides the one in the spec.
    specs = tuple(replace(spec, dim=shard.scored.shape[1]) for spec, shard in zip(specs, shards, strict=False))
    return ReadySource(records, specs, tuple(shards), "vectors")


def _arrays(
    given: SetVectors, layers: int, count: int, name: str
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """Check the shapes; return the answers' vectors [L, N, d] and the scored answer's [L, d]."""
    answers, scored = _array(given.answers), _array(given.scored)
    answers = answers[None] if answers.ndim == 2 else answers
    scored = scored[None] if scored.ndim == 1 else scored
    expected = (layers, count, answers.shape[-1] if answers.ndim else 0)
    if answers.shape != expected or scored.shape != (layers, expected[2]):
        raise VectorError(
            f"answer set '{name}': expected vectors of {count} answers and of the scored answer in {layers} layers, "
            f"[{layers}, {count}, d] and [{layers}, d], got {list(answers.shape)} and {list(scored.shape)}"
        )
    return answers, scored


def _array(value: Any) -> npt.NDArray[np.floating]:
    # NumPy has no bfloat16. Converting half precision to single precision keeps NaN and infinity.
    tensor = torch.as_tensor(value).detach().cpu()
    return (tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()).numpy()


def _question(vectors: Sequence[SetVectors], shard: VectorShard) -> npt.NDArray[np.float64] | None:
    """Cosines between the scored answers and their questions, [B]; None unless all questions have vectors."""
    questions = [given.question for given in vectors]
    if any(question is None for question in questions):
        return None
    rows = np.stack([_array(question).astype(np.float64) for question in questions])
    scored = shard.scored.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (rows * scored).sum(1) / (np.linalg.norm(rows, axis=1) * np.linalg.norm(scored, axis=1))
    if not np.isfinite(cosine).all():
        raise VectorError(
            "vectors: expected finite, non-zero vectors of the questions, got NaN, infinity or a zero vector"
        )
    return cosine
