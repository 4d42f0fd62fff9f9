"""SAPLMA: a feed-forward network on the scored answer's hidden state.

References:
    [Azaria2023] Azaria and Mitchell, "The Internal State of an LLM Knows When It's Lying" (SAPLMA), Findings of EMNLP
    2023.
"""

from __future__ import annotations

import numpy as np

from sgpu_lightning.baselines.supervised.supervised_baseline import Classifier, SupervisedBaseline

LAYERS = (256, 128, 64)
EPOCHS, BATCH = 5, 32


def _network(labels: np.ndarray, groups: np.ndarray, seed: int) -> Classifier:
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    network = MLPClassifier(LAYERS, max_iter=EPOCHS, batch_size=min(BATCH, len(labels)), random_state=seed)
    return make_pipeline(StandardScaler(), network)


ORDER = 4
BASELINE = SupervisedBaseline(
    name="saplma",
    takes="hidden",
    definition="A network of 256, 128 and 64 units on the scored answer's hidden state, five epochs [Azaria2023]",
    make=_network,
)
