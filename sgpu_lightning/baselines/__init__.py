"""Other scores of an answer set: a registry of what SGPU is compared with.

Every score in ``SCORES`` is computed for many answer sets at once from one `ScoreInputs`; the supervised baselines,
which are fitted, are in ``SUPERVISED``. See docs/baselines.md.
"""

# The order of these imports is the order of the registry.
from sgpu_lightning.baselines import lexical, cosine, spectral, graph, token_likelihood, semantic  # noqa: F401, I001
from sgpu_lightning.baselines.score_inputs import ScoreInputs
from sgpu_lightning.baselines.nli import NLI, NLICrossEncoder, NLIError, NLIMatrices
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
