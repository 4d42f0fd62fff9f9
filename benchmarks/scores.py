"""Baseline scores in batches, against a loop over sets as in lm-polygraph, and the time of the bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
import scipy.linalg
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from benchmarks.data import triviaqa_answers
from benchmarks.rows import Row
from benchmarks.timing import Seconds, interleaved, times_slower
from sgpu_lightning.answers.record import AnswerSet, parse_record
from sgpu_lightning.baselines import SCORES, ScoreInputs, get_score
from sgpu_lightning.baselines.affinities import AFFINITIES
from sgpu_lightning.baselines.scores.graph import degree, eccentricity, eigenvalue_sum, heat_entropy
from sgpu_lightning.metrics.functional import bootstrap_interval

ANSWERS, DIM = 10, 384
ROUNDS = 5
TIMES_FASTER = 5.0
BOOTSTRAP_ANSWERS, RESAMPLES, BOOTSTRAP_SECONDS = 1400, 1000, 1.0


def _normalised_laplacian(weights: np.ndarray) -> np.ndarray:
    degrees = np.diag(weights.sum(axis=1))
    scale = np.linalg.inv(np.sqrt(degrees))
    return np.eye(len(weights)) - scale @ weights @ scale


def eigv_of_one(weights: np.ndarray) -> float:
    """Compute the sum of eigenvalues of one set as lm-polygraph 0.7.0 does."""
    return sum(max(0, 1 - value) for value in scipy.linalg.eigh(_normalised_laplacian(weights), eigvals_only=True))


def deg_of_one(weights: np.ndarray) -> float:
    """Compute the degree score of one set as lm-polygraph 0.7.0 does."""
    return float(np.trace(len(weights) - np.diag(weights.sum(axis=1))) / len(weights) ** 2)


def ecc_of_one(weights: np.ndarray) -> float:
    """Compute the eccentricity of one set as lm-polygraph 0.7.0 does."""
    values, vectors = scipy.linalg.eigh(_normalised_laplacian(weights))
    return float(np.linalg.norm([np.linalg.norm(x - x.mean()) for x in vectors[:, values < 0.9].T]))


def kle_of_one(weights: np.ndarray) -> float:
    """Compute the kernel language entropy of one set as lm-polygraph 0.7.0 does, without its scaling."""
    kernel = scipy.linalg.expm(-0.3 * (np.diag(weights.sum(axis=0)) - weights))
    scale = np.sqrt(np.diag(kernel))
    values = np.linalg.eig(kernel / np.outer(scale, scale) / len(kernel)).eigenvalues.real
    return float(-sum(value * np.log(value) for value in values if abs(value) > 1e-8))


def eigenscore_of_one(vectors: np.ndarray, centring: np.ndarray) -> float:
    """Compute the EigenScore of one set as lm-polygraph 0.7.0 does."""
    covariance = vectors @ centring @ vectors.T + 1e-3 * np.eye(len(vectors))
    return float(np.mean(np.log([max(value, 1e-10) for value in scipy.linalg.eigh(covariance, eigvals_only=True)])))


def loop(function: Callable[[np.ndarray], float], sets: np.ndarray) -> Tensor:
    """Apply a function of one set to each set, on one thread, which is fastest for matrices this small."""
    with threadpool_limits(1):
        return _loop(function, sets)


def _loop(function: Callable[[np.ndarray], float], sets: np.ndarray) -> Tensor:
    return torch.tensor([function(one) for one in sets], dtype=torch.float64)


def vectors_of(records: list[AnswerSet], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw synthetic vectors: a random direction for each distinct text, around the centre of its set.

    Returns:
        Vectors of the answers, [B, N, d], and of the scored answers, [B, d].
    """
    rng = np.random.default_rng(seed)
    direction = {text: rng.normal(size=DIM) for record in records for text in record.answers}
    centre = rng.normal(size=(len(records), 1, DIM))
    answers = np.stack([[direction[text] for text in record.answers] for record in records])
    return torch.from_numpy((centre + answers).astype(np.float32)), torch.from_numpy(centre[:, 0].astype(np.float32))


def compare(name: str, ours: Callable[[], Tensor], theirs: Callable[[], Tensor], sets: int, note: str) -> Row:
    """Measure the speed-up of a batch over a loop, after checking that both give the same values."""
    difference = float((ours() - theirs()).abs().max())
    if not difference < 1e-6:
        raise AssertionError(f"{name}: the batch and the loop differ by {difference}")
    seconds: Seconds = interleaved({"batch": ours, "loop": theirs}, ROUNDS)
    rates = {which: sets / median(values) for which, values in seconds.items()}
    return Row(
        what=f"{name} of many sets against a loop over them",
        value=times_slower(seconds, "loop", "batch"),
        unit="x",
        at_least=TIMES_FASTER,
        note=f"{note}; {rates['batch']:,.0f} sets/s against {rates['loop']:,.0f}; largest difference {difference:.0e}",
        details={"seconds": seconds, "sets_per_s": rates},
    )


def run() -> list[Row]:
    """Measure five scores against loops, all scores that need no NLI model, and a bootstrap."""
    answers = triviaqa_answers()
    records = [record for record in map(parse_record, answers.rows) if len(record.answers) == ANSWERS]
    vectors, scored = vectors_of(records)
    group = ScoreInputs(records=records).groups[0]
    weights = AFFINITIES["jaccard"].weights(group)
    plain, wide = weights.numpy(), vectors.double().numpy()
    centring = np.eye(DIM) - np.ones((DIM, DIM)) / DIM
    note = f"{answers.name}, {len(records)} sets of {ANSWERS} answers"
    pairs: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[np.ndarray], float]]] = {
        "eigv": (eigenvalue_sum, eigv_of_one),
        "deg": (degree, deg_of_one),
        "ecc": (eccentricity, ecc_of_one),
        "kle_heat": (heat_entropy, kle_of_one),
    }
    rows = [
        compare(
            name, partial(ours, weights), partial(loop, theirs, plain), len(records), f"{note}, Jaccard matrices given"
        )
        for name, (ours, theirs) in pairs.items()
    ]

    inputs = ScoreInputs(records=records, vectors=vectors)

    def eigenscore() -> Tensor:
        for group in inputs.groups:
            group.cache.clear()  # else the second round would reuse the results of the first
        return get_score("eigenscore").raw(inputs)

    one = partial(eigenscore_of_one, centring=centring)
    rows.append(
        compare(
            "eigenscore",
            eigenscore,
            partial(loop, one, wide),
            len(records),
            f"{note}, synthetic vectors of width {DIM}",
        )
    )
    return [*rows, _all_scores(records, vectors, scored, note), _bootstrap()]


def _all_scores(records: list[AnswerSet], vectors: Tensor, scored: Tensor, note: str) -> Row:
    names = [name for name, score in SCORES.items() if set(score.needs) <= {"vectors", "scored_vector"}]

    def every() -> None:
        inputs = ScoreInputs(records=records, vectors=vectors, scored=scored)
        for name in names:
            get_score(name).confidence(inputs)

    every()  # warm up: NLTK is imported and words are stemmed
    seconds = median(interleaved({"all": every}, 3)["all"])
    return Row(what=f"all {len(names)} scores of texts and vectors", value=seconds, unit="s", note=note)


def _bootstrap() -> Row:
    generator = torch.Generator().manual_seed(0)
    probs = torch.rand(BOOTSTRAP_ANSWERS, generator=generator, dtype=torch.float64)
    labels = (torch.rand(BOOTSTRAP_ANSWERS, generator=generator, dtype=torch.float64) < probs).long()
    draw = partial(bootstrap_interval, "auroc", probs, labels, num_resamples=RESAMPLES)
    draw()
    return Row(
        what="bootstrap interval of the AUROC",
        value=median(interleaved({"bootstrap": draw}, ROUNDS)["bootstrap"]),
        unit="s",
        at_most=BOOTSTRAP_SECONDS,
        note=f"{RESAMPLES} resamples of {BOOTSTRAP_ANSWERS} answers",
    )
