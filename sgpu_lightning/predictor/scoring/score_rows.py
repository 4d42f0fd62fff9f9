"""P(correct) of answer sets that have vectors, by a frozen predictor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sgpu_lightning.answers.grading import Verdict
from sgpu_lightning.answers.grading.grader import NO_GOLD
from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.data.sources import ReadySource
from sgpu_lightning.data.table import AnswerTable
from sgpu_lightning.data.vector_runs import vector_runs
from sgpu_lightning.predictor.artefact.frozen_predictor import FrozenPredictor
from sgpu_lightning.predictor.artefact.predictor_config import PredictorConfig
from sgpu_lightning.predictor.artefact.training_domain import is_unlike
from sgpu_lightning.predictor.scoring.input_checks import require_vectors
from sgpu_lightning.training.predictions import prediction_records


@dataclass(frozen=True, slots=True)
class Score:
    """The prediction for one answer set.

    Args:
        id: Id of the answer set.
        scored_answer: The answer that P(correct) is about: the greedy answer, else the majority answer.
        p_correct: Probability that the scored answer is right.
        latent_mean: Mean of the GP's latent function f at this set.
        latent_variance: Variance of f at this set; large where few training sets were similar.
        data_entropy: Aleatoric uncertainty: expected entropy of the label given f, in nats; high where the sampled
            answers disagree.
        mutual_information: Epistemic uncertainty: mutual information I(y; f), in nats; high where few training sets
            were similar.
        unlike_training: Whether the set looks unlike those that the predictor was fitted on.
    """

    id: str
    scored_answer: str
    p_correct: float
    latent_mean: float
    latent_variance: float
    data_entropy: float
    mutual_information: float
    unlike_training: bool

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Score:
        """Take the score's fields from a row of `score_rows`."""
        return cls(**{key: row[key] for key in cls.__dataclass_fields__})


class _NoGrader:
    """A grader that grades nothing. Scoring passes on the label that a record has."""

    def grade(self, records: Sequence[AnswerSet]) -> list[Verdict]:
        return [NO_GOLD] * len(records)


def score_rows(model: FrozenPredictor, config: PredictorConfig, source: ReadySource) -> Iterator[dict[str, Any]]:
    """Score the answer sets of a source.

    Args:
        model: The frozen predictor.
        config: Its config.
        source: Answer sets with vectors.

    Yields:
        The keys of `prediction_records` and ``unlike_training``, for each answer set.

    Raises:
        PredictorError: If the vectors are not of the kind that the predictor was fitted on.
    """
    require_vectors(config, source.specs())
    table = AnswerTable()
    table.add(source, _NoGrader())
    for run in vector_runs(table):
        prediction = model(run)
        unlike = is_unlike(prediction.latent_variance, config.domain).tolist()
        rows = prediction_records([(run.index, prediction)], table)
        for row, flag in zip(rows, unlike, strict=True):
            yield row | {"unlike_training": flag}
