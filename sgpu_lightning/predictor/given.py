"""What a caller hands to a predictor, as records and vectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sgpu_lightning.answers.record import AnswerSet, RecordError, parse_record
from sgpu_lightning.answers.storage.vectors import VectorError, VectorShard, VectorSpec
from sgpu_lightning.data.sources import ReadySource
from sgpu_lightning.errors import show_value
from sgpu_lightning.predictor.config import PredictorConfig, PredictorError

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class SetVectors:
    """Vectors of one answer set, as NumPy arrays or tensors on the CPU.

    Args:
        answers: Of the N answers, [N, d]; of several layers [L, N, d].
        scored: Of the scored answer, [d] or [L, d].
        question: Of the question, [d], where the predictor looks at it; an encoder's.
        made_by: What made them, one for each layer; None: taken to be what the predictor was fitted on.
    """

    answers: Any
    scored: Any
    question: Any = None
    made_by: tuple[VectorSpec, ...] | None = None


def records_of(answers: Any, columns: Mapping[str, Any]) -> tuple[bool, list[AnswerSet]]:
    """The answer sets that `SGPUPredictor.score` was given.

    Args:
        answers: See there.
        columns: The other keys of one record, or for several sets one list for each; None where not given.

    Returns:
        Whether it is one set, not a list; and the sets.

    Raises:
        RecordError: Naming the set and the key that is off.
    """
    given = {key: value for key, value in columns.items() if value is not None}
    if isinstance(answers, str | Mapping) or not isinstance(answers, Iterable):
        raise RecordError(
            f"answers: expected the answers of a set, or a list of records, got {show_value(answers)}; one record: "
            "score([record])"
        )
    items = list(answers)
    if not items or isinstance(items[0], str):
        return True, [_record({"answers": items, **given}, 0)]
    if isinstance(items[0], Mapping | AnswerSet):
        if given:
            raise RecordError(f"{', '.join(given)}: expected nothing beside records, which have these keys themselves")
        return False, [item if isinstance(item, AnswerSet) else _record(item, i) for i, item in enumerate(items)]
    for key, values in given.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or len(values) != len(items):
            raise RecordError(f"{key}: expected {len(items)} values, one for each set, got {show_value(values)}")
    rows = ({"answers": own, **{key: values[i] for key, values in given.items()}} for i, own in enumerate(items))
    return False, [_record(row, i) for i, row in enumerate(rows)]


def _record(row: Any, place: int) -> AnswerSet:
    if isinstance(row, Mapping) and row.get("id") is None:
        row = {**row, "id": str(place)}
    return parse_record(row, f"answer set {place}")


def ready_source(records: Sequence[AnswerSet], vectors: Sequence[SetVectors], config: PredictorConfig) -> ReadySource:
    """Records with the vectors given for them.

    Raises:
        PredictorError: If there is not one of each, or the shapes are not as described.
        VectorError: If a vector is not finite, or zero.
    """
    if len(records) != len(vectors):
        raise PredictorError(f"vectors: expected {len(records)}, one for each answer set, got {len(vectors)}")
    layers = len(config.vectors)
    own = [
        _arrays(given, layers, len(record.answers), record.id) for given, record in zip(vectors, records, strict=True)
    ]
    made_by = {given.made_by for given in vectors if given.made_by is not None}
    if len(made_by) > 1:
        raise PredictorError("vectors: expected one kind for all answer sets, got several 'made_by'")
    specs = made_by.pop() if made_by else config.vectors
    shards = []
    for layer in range(layers):
        shard = VectorShard.stack([one[0][layer] for one in own], [one[1][layer] for one in own])
        shard.question = _question(vectors, shard)
        shard.check([record.id for record in records], "vectors")
        shards.append(shard)
    # What is at hand has the last word on the length.
    specs = tuple(replace(spec, dim=shard.scored.shape[1]) for spec, shard in zip(specs, shards, strict=False))
    return ReadySource(records, specs, tuple(shards), "vectors")


def _arrays(
    given: SetVectors, layers: int, count: int, name: str
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
    """Vectors of the answers [L, N, d] and of the scored one [L, d]."""
    answers, scored = _array(given.answers), _array(given.scored)
    answers = answers[None] if answers.ndim == 2 else answers
    scored = scored[None] if scored.ndim == 1 else scored
    expected = (layers, count, answers.shape[-1] if answers.ndim else 0)
    if answers.shape != expected or scored.shape != (layers, expected[2]):
        raise VectorError(
            f"answer set '{name}': expected vectors of {count} answers and the scored one in {layers} layers, "
            f"[{layers}, {count}, d] and [{layers}, d], got {list(answers.shape)} and {list(scored.shape)}"
        )
    return answers, scored


def _array(value: Any) -> npt.NDArray[np.floating]:
    # NumPy has no bfloat16, and tells of NaN in half precision as well in single.
    tensor = torch.as_tensor(value).detach().cpu()
    return (tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()).numpy()


def _question(vectors: Sequence[SetVectors], shard: VectorShard) -> npt.NDArray[np.float64] | None:
    """Cosines of the scored answers to their questions, [B]; None unless all questions have vectors."""
    questions = [given.question for given in vectors]
    if any(question is None for question in questions):
        return None
    rows = np.stack([_array(question).astype(np.float64) for question in questions])
    scored = shard.scored.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (rows * scored).sum(1) / (np.linalg.norm(rows, axis=1) * np.linalg.norm(scored, axis=1))
    if not np.isfinite(cosine).all():
        raise VectorError("vectors: expected finite, non-zero vectors of the questions, got others")
    return cosine
