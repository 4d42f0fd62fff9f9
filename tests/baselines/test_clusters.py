from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import connected_components
from scipy.special import logsumexp

from sgpu_lightning.baselines import NLIMatrices, ScoreInputs, get_score
from sgpu_lightning.baselines.clusters import (
    cluster_labels,
    count_components,
    entropy_of_labels,
    entropy_of_weights,
)
from tests.baselines.helpers import random_inputs, records_of


def random_relations(sets: int, n: int, seed: int = 0, density: float = 0.3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    upper = (torch.rand(sets, n, n, generator=generator) < density).triu(1)
    return upper | upper.mT | torch.eye(n, dtype=torch.bool)


def plain_clusters(equivalent: np.ndarray) -> list[int]:
    """In order, into the first cluster whose first member is equivalent."""
    clusters: list[list[int]] = []
    for i in range(len(equivalent)):
        for members in clusters:
            if equivalent[members[0], i]:
                members.append(i)
                break
        else:
            clusters.append([i])
    assert sorted(i for members in clusters for i in members) == list(range(len(equivalent)))  # one cluster each
    return [next(members[0] for members in clusters if i in members) for i in range(len(equivalent))]


def farquhar_ids(equivalent: np.ndarray) -> list[int]:
    """As github.com/jlko/semantic_uncertainty: each answer without an id gives its own to all equivalent later ones."""
    ids, following = [-1] * len(equivalent), 0
    for i in range(len(equivalent)):
        if ids[i] == -1:
            ids[i] = following
            for j in range(i + 1, len(equivalent)):
                if equivalent[i, j]:
                    ids[j] = following
            following += 1
    return ids


def plain_entropy(ids: list[int], log_weights: np.ndarray | None = None) -> float:
    weights = np.zeros(len(ids)) if log_weights is None else log_weights
    total = logsumexp(weights)
    logs = [logsumexp(weights[np.array(ids) == k]) - total for k in sorted(set(ids))]
    return float(-sum(math.exp(value) * value for value in logs))


@pytest.mark.parametrize("n", [2, 5, 10])
def test_every_answer_is_in_one_cluster_by_its_first_member(n):
    relations = random_relations(200, n)
    labels = cluster_labels(relations)
    assert labels.tolist() == [plain_clusters(relation.numpy()) for relation in relations]


def test_an_answer_equivalent_to_two_clusters_joins_the_first_and_no_other():
    relation = torch.eye(3, dtype=torch.bool).unsqueeze(0)
    relation[0, 0, 2] = relation[0, 2, 0] = relation[0, 1, 2] = relation[0, 2, 1] = True
    assert cluster_labels(relation).tolist() == [[0, 1, 0]]
    assert farquhar_ids(relation[0].numpy()) == [0, 1, 1]  # there the later cluster takes it over


def test_entropies_are_those_of_plain_code():
    relations = random_relations(50, 7, seed=1)
    labels = cluster_labels(relations)
    log_weights = torch.randn(50, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    plain = [plain_entropy(row) for row in labels.tolist()]
    weighted = [plain_entropy(row, log_weights[i].numpy()) for i, row in enumerate(labels.tolist())]
    assert entropy_of_labels(labels).tolist() == pytest.approx(plain, abs=1e-12)
    assert entropy_of_weights(labels, log_weights).tolist() == pytest.approx(weighted, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 17])
def test_components_are_those_of_scipy(n):
    relations = random_relations(60, n, seed=n, density=1.2 / n)
    expected = [connected_components(relation.numpy(), directed=False)[0] for relation in relations]
    assert count_components(relations).tolist() == expected


def logits_of(classes: list[list[int]]) -> NLIMatrices:
    """Logits whose likeliest class is the given one: 0 contradiction, 1 neutral, 2 entailment."""
    return NLIMatrices(5.0 * torch.nn.functional.one_hot(torch.tensor(classes), 3).double().unsqueeze(0))


# One pair of answers, by what each direction says: strict and loose sense.
PAIRS = {
    "entail, entail": (2, 2, True, True),
    "entail, neutral": (2, 1, False, True),
    "neutral, neutral": (1, 1, False, False),
    "entail, contradict": (2, 0, False, False),
    "contradict, neutral": (0, 1, False, False),
}


@pytest.mark.parametrize(("there", "back", "strict", "loose"), PAIRS.values(), ids=PAIRS.keys())
def test_strict_and_loose_equivalence(there, back, strict, loose):
    inputs = ScoreInputs(records=records_of(("a", "b")), nli=logits_of([[2, there], [back, 2]]))
    same = {True: 0.0, False: math.log(2)}
    assert get_score("semantic_entropy_strict").raw(inputs).item() == pytest.approx(same[strict], abs=1e-12)
    assert get_score("semantic_entropy").raw(inputs).item() == pytest.approx(same[loose], abs=1e-12)


def test_semantic_entropy_is_farquhars_where_equivalence_is_transitive():
    generator = torch.Generator().manual_seed(4)
    camps = torch.randint(3, (20, 6), generator=generator)
    same = camps.unsqueeze(2) == camps.unsqueeze(1)
    logprobs = -4 * torch.rand(20, 6, generator=generator, dtype=torch.float64)
    tokens = torch.randint(1, 5, (20, 6), generator=generator)
    records = [
        record.__class__(
            id=record.id,
            answers=record.answers,
            logprobs=tuple(logprobs[i].tolist()),
            meta={"answer_tokens": tokens[i].tolist()},
        )
        for i, record in enumerate(records_of(*[tuple("abcdef")] * 20))
    ]
    nli = NLIMatrices(5.0 * torch.nn.functional.one_hot(2 * same.long(), 3).double())
    inputs = ScoreInputs(records=records, nli=nli)
    discrete = [plain_entropy(farquhar_ids(relation.numpy())) for relation in same]
    weighted = [
        plain_entropy(farquhar_ids(relation.numpy()), (logprobs[i] / tokens[i]).numpy())
        for i, relation in enumerate(same)
    ]
    assert get_score("semantic_entropy").raw(inputs).tolist() == pytest.approx(discrete, abs=1e-10)
    assert get_score("semantic_entropy_likelihood").raw(inputs).tolist() == pytest.approx(weighted, abs=1e-10)


def test_clusters_by_cosine():
    # 0 and 40 degrees are near (cosine 0.77 < 0.8 is not): 0, 30, 60 and 180 degrees.
    angles = torch.tensor([0.0, 30.0, 60.0, 180.0]).deg2rad()
    vectors = torch.stack([angles.cos(), angles.sin()], dim=1).unsqueeze(0)
    inputs = ScoreInputs(records=records_of(tuple("abcd")), vectors=vectors)
    # 30 joins 0; 60 is near 30 but not near the first member, so it is on its own.
    expected = -(0.5 * math.log(0.5) + 2 * 0.25 * math.log(0.25))
    assert get_score("semantic_entropy_cos").raw(inputs).item() == pytest.approx(expected, abs=1e-12)


def test_likelihood_entropies_need_no_exponentials_that_underflow():
    inputs = random_inputs()
    records = [
        record.__class__(
            **{key: getattr(record, key) for key in ("id", "question", "answers", "greedy", "meta")},
            logprobs=tuple(value - 2000 for value in record.logprobs),
        )
        for record in inputs.records
    ]
    moved = ScoreInputs(
        records=records, vectors=inputs.vectors, scored=inputs.scored, similarity=inputs.similarity, nli=inputs.nli
    )
    for name in ("semantic_entropy_kuhn", "sentence_sar_given", "semantic_density", "semantic_entropy_likelihood"):
        assert torch.isfinite(get_score(name).raw(moved)).all(), name
    shift = get_score("sentence_sar_given").raw(moved) - get_score("sentence_sar_given").raw(inputs)
    assert shift.tolist() == pytest.approx([2000] * len(records), rel=1e-9)
