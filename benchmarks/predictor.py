"""The portable predictor: throughput, start-up time, and scoring of a million answer sets."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

import torch

from benchmarks.rows import Row
from benchmarks.throughput import ANSWERS, CHUNKS, DIM, FIT_SETS, SETS, fitted_module, measure, synthetic_batch
from benchmarks.timing import interleaved, seconds_of, summary, times_slower
from sgpu_lightning.predictor.artefact.frozen_predictor import FrozenPredictor
from sgpu_lightning.predictor.scoring.scoring_sources import CHUNK
from tests.toy import toy_rows

SETS_PER_SECOND = 40_000
TIMES_FASTER = 3.0
START_SECONDS = 1.5
GIGABYTES = 1.0
# Ratio of seconds per set at the largest size to seconds per set at the smallest; 1 is linear.
LINEAR = 1.2
ROUNDS = 7
SIZES = (100_000, 1_000_000)
DISTINCT = {"answers": 5000, "questions": 2000}
HEAVY = ("transformers", "lightning", "gpytorch", "sentence_transformers")

FIRST_SCORE = """
import sys
import numpy as np
from sgpu_lightning import SGPUPredictor
from sgpu_lightning.predictor import SetVectors
rng = np.random.default_rng(0)
predictor = SGPUPredictor.from_pretrained(sys.argv[1])
vectors = SetVectors(rng.normal(size=(10, 384)), rng.normal(size=384), rng.normal(size=384))
predictor.score(["a"] * 10, greedy="a", vectors=vectors)
print(*(name for name in sys.argv[2:] if name in sys.modules))
"""
SCORE = """
import sys
from pathlib import Path
from sgpu_lightning.cli.main import main
status = main(["score", *sys.argv[1:]])
print(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
sys.exit(status)
"""


def frozen() -> tuple[FrozenPredictor, torch.nn.Module]:
    """Make a frozen predictor with the default features, and the module that it was frozen from."""
    module = fitted_module(synthetic_batch(FIT_SETS, seed=1))
    assert module.gp is not None
    return FrozenPredictor(module.features, module.gp.freeze()), module


def throughput(predictor: FrozenPredictor) -> Row:
    """Measure P(correct) from vectors in memory."""
    speeds = measure(predictor, synthetic_batch(SETS))
    best = max(CHUNKS, key=lambda size: median(speeds[size]))
    return Row(
        what="frozen predictor from vectors in memory",
        value=median(speeds[best]),
        unit="sets/s",
        at_least=SETS_PER_SECOND,
        note=f"{ANSWERS} answers x {DIM}, float32; default features; {torch.get_num_threads()} threads, chunks of "
        f"{best} sets, median of rounds (best {max(speeds[best]):,.0f})",
        details={"sets_per_s": speeds},
    )


def against_gpytorch(predictor: FrozenPredictor, module: torch.nn.Module) -> Row:
    """Measure the GP alone: the frozen GP and GPyTorch compute the same five outputs from the same features."""
    from sgpu_lightning.gp.frozen.prediction import Prediction

    with torch.no_grad():
        features = predictor.features(synthetic_batch(CHUNK))

        def gpytorch() -> None:
            with torch.no_grad():
                latent = module.gp.latent(module.gp.standardise(features))
                Prediction.from_latent(latent.mean, latent.variance)

        variants = {"frozen": partial(predictor.gp, features), "gpytorch": gpytorch}
        interleaved(variants, 5)
        seconds = interleaved(variants, 10 * ROUNDS)
    typical = {name: median(values) for name, values in seconds.items()}
    return Row(
        what="its GP alone against GPyTorch's prediction on the same features",
        value=times_slower(seconds, "gpytorch", "frozen"),
        unit="x",
        at_least=TIMES_FASTER,
        note=f"{CHUNK} sets, the batch size of `sgpu score`, x {features.shape[1]} features; "
        f"{1e3 * typical['frozen']:.1f} ms against "
        f"{1e3 * typical['gpytorch']:.1f} ms, both with variance and entropies, median ratio of {10 * ROUNDS} rounds",
        details=summary(seconds),
    )


def fit_predictor(folder: Path) -> Path:
    """Fit a black-box predictor on toy answers and export it.

    Returns:
        The predictor's folder.
    """
    from sgpu_lightning import AnswerDataModule, fit
    from sgpu_lightning.predictor import make_predictor

    answers = folder / "toy.jsonl"
    answers.write_text("".join(json.dumps(row) + "\n" for row in toy_rows(1000)), encoding="utf-8")
    data = AnswerDataModule(str(answers), cache_dir=str(folder / "cache"))
    fitted = fit(data, out=folder / "fit", enable_progress_bar=False)
    make_predictor(fitted.module, data).save_pretrained(folder / "predictor")
    return folder / "predictor"


def start(predictor: Path) -> Row:
    """Measure a whole process that loads the predictor and scores one set with given vectors."""
    command = [sys.executable, "-W", "ignore", "-c", FIRST_SCORE, str(predictor), *HEAVY]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    bare = [sys.executable, "-c", "import torch"]
    variants = {
        "score": partial(subprocess.run, command, check=True, stdout=subprocess.DEVNULL),
        "torch": partial(subprocess.run, bare, check=True),
    }
    seconds = interleaved(variants, ROUNDS)
    return Row(
        what="process start to first score, vectors given",
        value=median(seconds["score"]),
        unit="s",
        at_most=START_SECONDS,
        note=f"whole process, median of {ROUNDS}; `import torch` alone {median(seconds['torch']):.2f} s; "
        f"imported out of {', '.join(HEAVY)}: {found or 'none'}",
        details=summary(seconds),
    )


def write_sets(path: Path, sets: int) -> None:
    """Write answer sets whose short answers and questions are drawn from a few thousand."""
    rng = random.Random(0)
    answers = [f"{word} {i}" for i in range(DISTINCT["answers"]) for word in [rng.choice(["in", "the", "about", "no"])]]
    questions = [f"What is thing {i}?" for i in range(DISTINCT["questions"])]
    with path.open("w", encoding="utf-8") as stream:
        for i in range(sets):
            few = rng.choices(answers, k=rng.randint(1, 6))
            row = {
                "id": str(i),
                "question": rng.choice(questions),
                "answers": rng.choices(few, k=ANSWERS),
                "greedy": few[0],
            }
            stream.write(json.dumps(row) + "\n")


def large_file(predictor: Path, folder: Path) -> list[Row]:
    """Measure ``sgpu score`` in a fresh process: peak memory at the largest size, and growth of the time."""
    seconds, peak = {}, {}
    for sets in SIZES:
        write_sets(folder / "answers.jsonl", sets)
        command = [sys.executable, "-c", SCORE, str(predictor), str(folder / "answers.jsonl")]
        command += ["--out", str(folder / "scores.jsonl")]
        printed: list[str] = []

        def score(command: list[str] = command, printed: list[str] = printed) -> None:
            printed.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

        seconds[sets] = seconds_of(score)
        peak[sets] = int(printed[0].split()[-2]) / 2**20
    small, large = SIZES
    spent = ", ".join(f"{sets:,}: {seconds[sets]:.0f} s, {peak[sets]:.2f} GiB" for sets in SIZES)
    return [
        Row(
            what=f"sgpu score on {large:,} sets of short answers: peak memory",
            value=peak[large],
            unit="GiB",
            at_most=GIGABYTES,
            note=f"peak resident memory of the process; {DISTINCT['answers']} distinct answers, "
            f"{DISTINCT['questions']} questions, MiniLM; {spent}",
            details={"seconds": seconds, "peak_gib": peak},
        ),
        Row(
            what=f"... seconds per set at {large:,} over seconds per set at {small:,}",
            value=(seconds[large] / large) / (seconds[small] / small),
            at_most=LINEAR,
            note=f"{large / seconds[large]:,.0f} sets per second at {large:,}, including start-up and embedding",
        ),
    ]


def run() -> list[Row]:
    """Measure throughput, the GP against GPyTorch, start-up time, and memory and time on a million sets."""
    predictor, module = frozen()
    rows = [throughput(predictor), against_gpytorch(predictor, module)]
    with tempfile.TemporaryDirectory() as name:
        exported = fit_predictor(Path(name))
        return [*rows, start(exported), *large_file(exported, Path(name))]
