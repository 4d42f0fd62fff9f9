"""Scores computed from an NLI model's judgements, and scores that weight similarities by likelihood."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sgpu_lightning.baselines.affinities import AFFINITIES, Affinity
from sgpu_lightning.baselines.clusters import (
    cluster_labels,
    cluster_log_weights,
    count_components,
    entropy_of_labels,
    entropy_of_weights,
)
from sgpu_lightning.baselines.inputs.nli import NLIMatrices
from sgpu_lightning.baselines.inputs.score_needs import Need
from sgpu_lightning.baselines.inputs.set_group import SetGroup
from sgpu_lightning.baselines.registry import register

ORDER = 6
SAR_TEMPERATURE = 0.001
_FARQUHAR = "Farquhar et al., Nature 2024; semantics of github.com/jlko/semantic_uncertainty"
_CONTRADICTION, _NEUTRAL, _ENTAILMENT = 0, 1, 2


def strictly_equivalent(nli: NLIMatrices) -> Tensor:
    """Whether entailment is the most probable class in both directions, bool [b, n, n]."""
    entails = nli.classes == _ENTAILMENT
    return entails & entails.mT


def loosely_equivalent(nli: NLIMatrices) -> Tensor:
    """Whether contradiction is the most probable class in no direction and neutral not in both, bool [b, n, n]."""
    contradicts, neutral = nli.classes == _CONTRADICTION, nli.classes == _NEUTRAL
    return ~(contradicts | contradicts.mT) & ~(neutral & neutral.mT)


def nli_clusters(group: SetGroup, *, strict: bool) -> Tensor:
    """Clusters of equivalent answers, labels int64 [b, n].

    Args:
        group: The answer sets.
        strict: Whether answers are equivalent by `strictly_equivalent` instead of `loosely_equivalent`.
    """
    equivalent = strictly_equivalent if strict else loosely_equivalent
    return group.cached(f"clusters nli {strict}", lambda: cluster_labels(equivalent(group.nli)))


def _register_semantic_entropy(suffix: str, *, strict: bool) -> None:
    words = "strict: both directions entail" if strict else "loose: no contradiction, not both neutral"

    @register(
        f"semantic_entropy{suffix}",
        sign=-1,
        low="0",
        high="ln n",
        needs=("nli",),
        source=_FARQUHAR,
        definition=f"Entropy of the frequencies of clusters of equivalent answers, in nats ({words})",
    )
    def semantic_entropy(group: SetGroup) -> Tensor:
        return entropy_of_labels(nli_clusters(group, strict=strict))

    @register(
        f"semantic_entropy_likelihood{suffix}",
        sign=-1,
        low="0",
        high="ln n",
        needs=("nli", "logprobs", "answer_tokens"),
        source=_FARQUHAR,
        definition=f"Entropy of clusters weighted by length-normalised likelihood, in nats ({words})",
    )
    def semantic_entropy_likelihood(group: SetGroup) -> Tensor:
        return entropy_of_weights(nli_clusters(group, strict=strict), group.stored.mean_logprobs)


_register_semantic_entropy("", strict=False)
_register_semantic_entropy("_strict", strict=True)


@register(
    "semantic_entropy_kuhn",
    sign=-1,
    low="-ln n",
    high="unbounded",
    needs=("nli", "logprobs"),
    source="Kuhn et al., ICLR 2023 (arXiv 2302.09664); as lm-polygraph 0.7.0, SemanticEntropy",
)
def semantic_entropy_kuhn(group: SetGroup) -> Tensor:
    """Mean over the answers of - ln of the summed likelihoods of their cluster (strict), not normalised."""
    return -cluster_log_weights(nli_clusters(group, strict=True), group.stored.logprobs).mean(1)


@register(
    "num_sets",
    sign=-1,
    low="1",
    high="n",
    needs=("nli",),
    source="Lin et al., TMLR 2024 (arXiv 2305.19187); as lm-polygraph 0.7.0, NumSemSets",
)
def num_sets(group: SetGroup) -> Tensor:
    """Number of components of the graph of answers in which entailment beats contradiction in both directions."""
    entails = group.nli.entail > group.nli.contradict
    return count_components(entails & entails.mT)


@register(
    "luq",
    sign=-1,
    low="0",
    high="1",
    needs=("nli",),
    source="Zhang et al., EMNLP 2024 (arXiv 2403.20279); as lm-polygraph 0.7.0, LUQ",
)
def luq(group: SetGroup) -> Tensor:
    """1 - mean over pairs i != j of the probability of entailment against contradiction alone."""
    logits = group.nli.logits
    entails = (logits[..., _ENTAILMENT] - logits[..., _CONTRADICTION]).sigmoid()
    others = entails.sum(dim=(1, 2)) - entails.diagonal(dim1=1, dim2=2).sum(-1)
    return 1.0 - others / (group.count * (group.count - 1))


@register(
    "semantic_density",
    sign=1,
    low="0",
    high="1",
    needs=("scored_nli", "logprobs", "answer_tokens", "scored_logprob"),
    source="Qiu and Miikkulainen, NeurIPS 2024 (arXiv 2405.13845); as lm-polygraph 0.7.0 (which gives it negated)",
)
def semantic_density(group: SetGroup) -> Tensor:
    """Likelihood-weighted kernel density of the distinct answers at the scored answer, which is included."""
    assert group.nli.scored is not None
    probabilities = group.nli.scored.softmax(-1)
    kernel = 1.0 - probabilities[..., _CONTRADICTION] - probabilities[..., _NEUTRAL] / 2
    ids = group.text_ids
    repeated = (ids.unsqueeze(2) == ids.unsqueeze(1)).tril(-1).any(dim=2)  # only the first of equal texts counts
    answers = group.stored.mean_logprobs.masked_fill(repeated, -torch.inf)
    scored = (group.stored.scored_logprob / group.stored.scored_tokens).unsqueeze(1)
    weights = torch.cat([answers, scored], dim=1).softmax(dim=1)
    return (weights[:, :-1] * kernel.clamp_min(0.0)).sum(1) + weights[:, -1]


def sentence_relevance(similarity: Tensor, logprobs: Tensor) -> Tensor:
    """Mean over i of - ln(p_i + sum over j != i of p_j similarity_ij / 0.001), computed in logs, [b].

    Args:
        similarity: Similarities of the answers, [b, n, n].
        logprobs: Log-probability ln p_i of each answer, [b, n].
    """
    eye = torch.eye(similarity.shape[-1], dtype=torch.bool, device=similarity.device)
    weights = (similarity / SAR_TEMPERATURE).masked_fill(eye, 1.0).log()
    return -(weights + logprobs.unsqueeze(1)).logsumexp(dim=2).mean(1)


def _register_sentence_sar(name: str, kind: Affinity) -> None:
    needs: tuple[Need, ...] = (*kind.needs, "logprobs")

    @register(
        f"sentence_sar_{name}",
        sign=-1,
        low=f"{-math.log(1 / SAR_TEMPERATURE):.1f} - ln n",
        high="unbounded",
        needs=needs,
        source="Duan et al., ACL 2024 (arXiv 2307.01379); as lm-polygraph 0.7.0, SentenceSAR",
        definition=(
            f"Mean of - ln of each answer's likelihood plus those of the others weighted by similarity ({kind.words})"
        ),
    )
    def sentence_sar(group: SetGroup) -> Tensor:
        return sentence_relevance(kind.weights(group), group.stored.logprobs)


for _name in ("given", "cosine"):
    _register_sentence_sar(_name, AFFINITIES[_name])
