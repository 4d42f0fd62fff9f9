"""P(correct) from vectors in memory: features and the frozen GP."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch import Tensor

from benchmarks.rows import Row
from benchmarks.timing import interleaved
from sgpu_lightning.features.answer_batch import AnswerBatch, TextBatch, batch_of_vectors
from sgpu_lightning.gp.classifier import GPClassifier
from sgpu_lightning.training.module import SGPUModule

SETS, ANSWERS, DIM = 8192, 10, 384
CHUNKS = (1024, 2048, 4096, 8192)
ROUNDS = 9
SETS_PER_SECOND = 30_000
FIT_SETS = 2000


def synthetic_batch(sets: int, seed: int = 0) -> AnswerBatch:
    """Answers around a centre of their set, from near agreement to none; the label goes with agreement."""
    generator = torch.Generator().manual_seed(seed)
    agreement = torch.rand(sets, generator=generator)
    centre = torch.randn(sets, DIM, generator=generator)
    noise = torch.randn(sets, ANSWERS, DIM, generator=generator)
    scored = centre + 0.1 * torch.randn(sets, DIM, generator=generator)
    vectors = centre.unsqueeze(1) + noise * (1.5 * (1.0 - agreement)).view(-1, 1, 1)
    batch = batch_of_vectors(vectors, scored, synthetic_texts(agreement, generator), agreement.double())
    batch.label = (torch.rand(sets, generator=generator) < agreement).double()
    return batch


def synthetic_texts(agreement: Tensor, generator: torch.Generator) -> TextBatch:
    """Texts that are equal to the scored one as often as the answers agree, and share no word where they are not."""
    sets = len(agreement)
    equal = torch.rand(sets, ANSWERS, generator=generator) < agreement.unsqueeze(1)
    own = torch.where(equal, 0, torch.arange(1, ANSWERS + 1))
    ids = torch.cat([own, torch.zeros(sets, 1, dtype=torch.long)], dim=1)
    return TextBatch(
        ids=ids,
        overlap=(ids.unsqueeze(1) == ids.unsqueeze(2)).float(),
        lengths=torch.rand(sets, ANSWERS + 1, 2, generator=generator),
        logprobs=torch.full((sets, ANSWERS), torch.nan),
    )


def fitted_module(batch: AnswerBatch) -> SGPUModule:
    """The default module without a learned kernel: prediction costs the same however well it is fitted."""
    module = SGPUModule()
    with torch.no_grad():
        features: Tensor = module.features(batch)
    module.gp = GPClassifier.from_features(features)
    with torch.no_grad():
        module.gp.evidence(features, batch.label)
    return module.eval()


def predict_in_chunks(module: SGPUModule, chunks: list[AnswerBatch]) -> None:
    """P(correct) of every chunk."""
    for chunk in chunks:
        module(chunk)


def measure(module: SGPUModule, batch: AnswerBatch) -> dict[int, list[float]]:
    """Sets per second in every round, for each chunk size."""
    cut = {size: [batch.take(rows) for rows in torch.arange(len(batch)).split(size)] for size in CHUNKS}
    variants: dict[str, Callable[[], object]] = {
        str(size): partial(predict_in_chunks, module, chunks) for size, chunks in cut.items()
    }
    interleaved(variants, 1)
    seconds = interleaved(variants, ROUNDS)
    return {size: [len(batch) / value for value in seconds[str(size)]] for size in CHUNKS}


def run() -> list[Row]:
    """One row: the best chunk size by its median round, at torch's default number of threads."""
    threads = torch.get_num_threads()
    module = fitted_module(synthetic_batch(FIT_SETS, seed=1))
    batch = synthetic_batch(SETS)
    speeds = measure(module, batch)
    try:
        torch.set_num_threads(1)
        single = measure(module, batch)
    finally:
        torch.set_num_threads(threads)
    best = max(CHUNKS, key=lambda size: median(speeds[size]))
    alone = max(CHUNKS, key=lambda size: median(single[size]))
    return [
        Row(
            what="P(correct) from vectors in memory",
            value=median(speeds[best]),
            unit="sets/s",
            at_least=SETS_PER_SECOND,
            note=f"{ANSWERS} answers x {DIM}, float32; default features and GP; {threads} threads, chunks of {best} "
            f"sets, median of {ROUNDS} rounds (best {max(speeds[best]):,.0f}); one thread, chunks of {alone}: "
            f"{median(single[alone]):,.0f}",
            details={"threads": threads, "sets_per_s": speeds, "one_thread_sets_per_s": single},
        )
    ]
