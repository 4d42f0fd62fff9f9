"""Answer sets for scores: the made-up ones of the stored numbers, and random ones."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import torch

from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.baselines import NLIMatrices, ScoreInputs

REFERENCE = Path(__file__).parent / "reference" / "numbers.json"


def double(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@cache
def reference() -> dict:
    return json.loads(REFERENCE.read_text(encoding="utf-8"))


def reference_records() -> list[AnswerSet]:
    data = reference()["inputs"]
    return [
        AnswerSet(
            id=str(i),
            answers=tuple(texts),
            greedy=data["scored_texts"][i],
            logprobs=tuple(data["logprobs"][i]),
            meta={
                "answer_tokens": data["answer_tokens"][i],
                "greedy_logprob": sum(data["greedy_token_logprobs"][i]),
                "greedy_tokens": len(data["greedy_token_logprobs"][i]),
                "token_entropies": data["token_entropies"][i],
                "p_true": data["p_true"][i],
            },
        )
        for i, texts in enumerate(data["texts"])
    ]


def reference_inputs() -> ScoreInputs:
    data = reference()["inputs"]
    return ScoreInputs(
        records=reference_records(),
        vectors=double(data["vectors"]),
        scored=double(data["scored_vectors"]),
        similarity=double(data["similarity"]),
        nli=NLIMatrices(double(data["nli_logits"]), double(data["scored_nli_logits"])),
    )


def records_of(*sets: tuple[str, ...], **common) -> list[AnswerSet]:
    return [AnswerSet(id=str(i), answers=answers, **common) for i, answers in enumerate(sets)]


def random_inputs(counts=(5, 3, 5, 4, 10, 3), dim: int = 6, seed: int = 0) -> ScoreInputs:
    """Sets of unequal N with every input, from near agreement to none."""
    generator = torch.Generator().manual_seed(seed)
    words = ["red", "blue", "a green one", "the red one", "seven", "red blue"]
    longest = max(counts)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    records = []
    for i, n in enumerate(counts):
        tokens = torch.randint(1, 6, (n,), generator=generator)
        records.append(
            AnswerSet(
                id=str(i),
                question=f"What is {i}?",
                answers=tuple(words[int(k)] for k in torch.randint(len(words), (n,), generator=generator)),
                greedy=words[i % len(words)],
                logprobs=tuple((-tokens * torch.rand(n, generator=generator, dtype=torch.float64)).tolist()),
                meta={
                    "answer_tokens": tokens.tolist(),
                    "greedy_logprob": -1.5,
                    "greedy_tokens": 3,
                    "token_entropies": [0.5, 1.0],
                    "p_true": 0.25,
                },
            )
        )
    sets = len(counts)
    centre, similarity = normal(sets, 1, dim), torch.rand(sets, longest, longest, generator=generator).double()
    similarity = (similarity + similarity.mT) / 2
    similarity.diagonal(dim1=1, dim2=2).fill_(1.0)
    return ScoreInputs(
        records=records,
        vectors=centre + torch.arange(sets).view(-1, 1, 1) / sets * normal(sets, longest, dim),
        scored=centre[:, 0],
        similarity=similarity,
        nli=NLIMatrices(normal(sets, longest, longest, 3), normal(sets, longest, 3)),
    )
