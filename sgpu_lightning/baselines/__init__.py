"""Baselines: the other scores of an answer set that SGPU is compared with.

``SCORES`` holds the unsupervised scores, which are computed for many answer sets at once from one `ScoreInputs`;
``SUPERVISED`` holds the baselines that are fitted on labels. See docs/baselines.md.
"""

from sgpu_lightning.baselines import scores as _scores  # noqa: F401  (the scores register themselves)
from sgpu_lightning.baselines.inputs.nli import NLI, NLICrossEncoder, NLIError, NLIMatrices
from sgpu_lightning.baselines.inputs.score_inputs import ScoreInputs
from sgpu_lightning.baselines.registry import SCORES, Score, ScoreError, ScoreTable, compute_scores, get_score
from sgpu_lightning.baselines.supervised import (
    SUPERVISED,
    FittedBaseline,
    SupervisedBaseline,
    SupervisedError,
    get_supervised,
)

__all__ = [
    "NLI",
    "SCORES",
    "SUPERVISED",
    "FittedBaseline",
    "NLICrossEncoder",
    "NLIError",
    "NLIMatrices",
    "Score",
    "ScoreError",
    "ScoreInputs",
    "ScoreTable",
    "SupervisedBaseline",
    "SupervisedError",
    "compute_scores",
    "get_score",
    "get_supervised",
]
