"""Scores computed from the answering model's own probabilities; they are left out if records do not hold them."""

from __future__ import annotations

from torch import Tensor

from sgpu_lightning.baselines.inputs.set_group import SetGroup
from sgpu_lightning.baselines.registry import register

ORDER = 5
_POLYGRAPH = "as lm-polygraph 0.7.0"


@register(
    "perplexity",
    sign=-1,
    low="0",
    high="unbounded",
    needs=("scored_logprob",),
    source=f"Fomicheva et al., TACL 2020; {_POLYGRAPH}, Perplexity",
)
def perplexity(group: SetGroup) -> Tensor:
    """Mean negative log-probability of the scored answer's tokens, in nats (the log of its perplexity)."""
    return -group.stored.scored_logprob / group.stored.scored_tokens


@register(
    "sequence_probability",
    sign=1,
    low="-unbounded",
    high="0",
    needs=("scored_logprob",),
    source=f"{_POLYGRAPH}, MaximumSequenceProbability (which gives it negated)",
)
def sequence_probability(group: SetGroup) -> Tensor:
    """Log-probability of the scored answer, in nats."""
    return group.stored.scored_logprob


@register(
    "sequence_entropy",
    sign=-1,
    low="0",
    high="unbounded",
    needs=("logprobs",),
    source=f"Kuhn et al., ICLR 2023; {_POLYGRAPH}, MonteCarloSequenceEntropy",
)
def sequence_entropy(group: SetGroup) -> Tensor:
    """Mean negative log-probability of the answers, in nats."""
    return -group.stored.logprobs.mean(1)


@register(
    "sequence_entropy_normalised",
    sign=-1,
    low="0",
    high="unbounded",
    needs=("logprobs", "answer_tokens"),
    source=f"Malinin and Gales, ICLR 2021; {_POLYGRAPH}, MonteCarloNormalizedSequenceEntropy",
)
def sequence_entropy_normalised(group: SetGroup) -> Tensor:
    """Mean over the answers of the negative log-probability per token, in nats."""
    return -group.stored.mean_logprobs.mean(1)


@register(
    "mean_token_entropy",
    sign=-1,
    low="0",
    high="ln of the vocabulary",
    needs=("token_entropies",),
    source=f"Fomicheva et al., TACL 2020; {_POLYGRAPH}, MeanTokenEntropy",
)
def mean_token_entropy(group: SetGroup) -> Tensor:
    """Mean entropy of the model's distribution at the scored answer's tokens, in nats."""
    return group.stored.token_entropies


@register(
    "p_true",
    sign=1,
    low="0",
    high="1",
    needs=("p_true",),
    source=f"Kadavath et al., 2022 (arXiv 2207.05221); {_POLYGRAPH}, PTrue (which gives it negated)",
)
def p_true(group: SetGroup) -> Tensor:
    """Probability that the model itself gives to its scored answer being true."""
    return group.stored.p_true
