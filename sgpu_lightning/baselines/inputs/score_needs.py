"""Kinds of inputs that a score may need, and the reason that is given if an answer set lacks one."""

from __future__ import annotations

from typing import Literal, get_args

Need = Literal[
    "vectors",
    "scored_vector",
    "similarity",
    "nli",
    "scored_nli",
    "logprobs",
    "answer_tokens",
    "scored_logprob",
    "token_entropies",
    "p_true",
]
NEEDS: tuple[Need, ...] = get_args(Need)

REASONS: dict[Need, str] = {
    "vectors": "no vectors were given",
    "scored_vector": "no vectors of the scored answers were given",
    "similarity": "no similarity matrices were given",
    "nli": "no NLI model or matrices were given",
    "scored_nli": "no NLI model, or no NLI matrices of the scored answers, were given",
    "logprobs": "the record has no 'logprobs'",
    "answer_tokens": "the record's meta has no 'answer_tokens', N positive numbers of tokens",
    "scored_logprob": (
        "the scored answer's log-probability and number of tokens are not in the record (meta 'greedy_logprob' and "
        "'greedy_tokens', or 'logprobs' and 'answer_tokens' if the majority answer is scored)"
    ),
    "token_entropies": (
        "the record's meta has no 'token_entropies', the entropy of the model's distribution at each token of the "
        "scored answer; it takes the model to compute them"
    ),
    "p_true": (
        "the record's meta has no 'p_true', the probability that the model itself gives to its scored answer being "
        "true; it takes the model to ask it"
    ),
}
