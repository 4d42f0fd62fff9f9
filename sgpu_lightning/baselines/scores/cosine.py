"""Scores computed from cosines of the scored answer to the answers, and from clusters by cosine."""

from __future__ import annotations

from torch import Tensor

from sgpu_lightning.baselines.clusters import cluster_labels, entropy_of_labels, entropy_of_weights
from sgpu_lightning.baselines.inputs.set_group import SetGroup
from sgpu_lightning.baselines.registry import register

ORDER = 2
COSINE_THRESHOLD = 0.8
_CLUSTERS = "Farquhar et al., Nature 2024, with clusters by cosine > 0.8 instead of entailment"


@register("mean_cosine", sign=1, low="0", high="1", needs=("vectors", "scored_vector"), source="Lin et al., TMLR 2024")
def mean_cosine(group: SetGroup) -> Tensor:
    """Mean cosine of the scored answer to the answers, clamped into [0, 1]."""
    return group.scored_cosines.mean(1).clamp(0.0, 1.0)


@register(
    "mean_cosine_uqlm",
    sign=1,
    low="0",
    high="1",
    needs=("vectors", "scored_vector"),
    source="Bouchard and Chauhan, TMLR 2025 (arXiv 2504.19254); as uqlm 0.6.7, cosine_sim",
)
def mean_cosine_uqlm(group: SetGroup) -> Tensor:
    """Mean of 1/2 + cosine / 2 of the scored answer to the answers, clamped into [0, 1]."""
    return (0.5 + group.scored_cosines / 2).mean(1).clamp(0.0, 1.0)


def cosine_clusters(group: SetGroup) -> Tensor:
    """Clusters of the answers by cosine > 0.8 to a cluster's first answer, labels int64 [b, n]."""
    return group.cached("clusters cosine", lambda: cluster_labels(group.cosines > COSINE_THRESHOLD))


@register("semantic_entropy_cos", sign=-1, low="0", high="ln n", needs=("vectors",), source=_CLUSTERS)
def semantic_entropy_cos(group: SetGroup) -> Tensor:
    """Entropy of the frequencies of clusters by cosine > 0.8 to their first answer, in nats."""
    return entropy_of_labels(cosine_clusters(group))


@register(
    "semantic_entropy_cos_likelihood",
    sign=-1,
    low="0",
    high="ln n",
    needs=("vectors", "logprobs", "answer_tokens"),
    source=_CLUSTERS,
)
def semantic_entropy_cos_likelihood(group: SetGroup) -> Tensor:
    """Entropy of clusters by cosine > 0.8 weighted by length-normalised likelihood, in nats."""
    return entropy_of_weights(cosine_clusters(group), group.stored.mean_logprobs)
