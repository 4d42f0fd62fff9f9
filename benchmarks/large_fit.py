"""Fitting on 200,000 answer sets from a store: peak memory, and time against the number of sets."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.rows import Row
from sgpu_lightning.answers.record import AnswerSet
from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.answers.storage.vectors import VectorShard, VectorSpec

SIZES = (50_000, 100_000, 200_000)
ANSWERS, DIM, SHARD = 10, 384, 2048
GIGABYTES = 3.0
# Seconds a set at the largest size over seconds a set at the smallest: 1 is linear.
LINEAR = 1.2


def write_store(folder: Path, sets: int) -> None:
    """Synthetic answer sets, from agreement to none; the label goes with agreement."""
    rng = np.random.default_rng(0)
    spec = VectorSpec(kind="hidden", source="synthetic", dim=DIM, layer=0, num_layers=1, token="last")
    store = AnswerStore.create(folder, {"kind": "synthetic"})
    store.add_vector_set(spec)
    for start in range(0, sets, SHARD):
        count = min(SHARD, sets - start)
        agreement = rng.random(count, dtype=np.float32)
        centre = rng.standard_normal((count, 1, DIM), dtype=np.float32)
        noise = rng.standard_normal((count, ANSWERS, DIM), dtype=np.float32)
        vectors = centre + 1.5 * (1 - agreement)[:, None, None] * noise
        labels = rng.random(count) < agreement
        records = [
            AnswerSet(id=f"q{start + i}", question=f"q{start + i}", answers=("a",) * ANSWERS, greedy="a", label=int(y))
            for i, y in enumerate(labels)
        ]
        counts = np.full(count, ANSWERS)
        store.append(records, {spec.name: VectorShard(vectors.reshape(-1, DIM), counts, centre[:, 0])})


def fit_in_a_process(folder: Path) -> dict[str, float]:
    """Fit in a fresh process: its seconds and its peak resident memory in GiB."""
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.large_fit", str(folder)], capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise RuntimeError(f"the fit on {folder.name} failed:\n{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def fit_and_report(folder: Path) -> None:
    """What the fresh process does."""
    from sgpu_lightning import AnswerDataModule, SGPUModule, fit
    from sgpu_lightning.training.feature_cache import FeatureCache

    data = AnswerDataModule(str(folder), encoder=None)
    start = time.perf_counter()
    data.setup()
    module, cache = SGPUModule(), FeatureCache()
    read = time.perf_counter()
    cache.fill(data, module.features)  # the fit does it again
    loaded = time.perf_counter()
    fitted = fit(data, module, out=folder / "fit", enable_progress_bar=False)
    features, fitting = loaded - read, time.perf_counter() - loaded
    seconds = {"read_s": read - start, "features_s": features, "fit_s": fitting - features}
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    test = fitted.metrics["test"]
    print(json.dumps(seconds | {"peak_gib": int(peak.split()[1]) / 2**20, "auroc": test["auroc"]}))


def run() -> list[Row]:
    """Two rows: peak memory at the largest size, and how far from linear the time is."""
    measured: dict[int, dict[str, float]] = {}
    for sets in SIZES:
        with tempfile.TemporaryDirectory() as name:
            write_store(Path(name) / "store", sets)
            measured[sets] = fit_in_a_process(Path(name) / "store")
    total = {sets: figures["read_s"] + figures["features_s"] + figures["fit_s"] for sets, figures in measured.items()}
    data = {sets: figures["read_s"] + figures["features_s"] for sets, figures in measured.items()}
    details = {str(sets): figures for sets, figures in measured.items()}
    largest, smallest = SIZES[-1], SIZES[0]
    spent = ", ".join(f"{sets:,}: {total[sets]:.0f} s ({data[sets]:.0f} s of it reading)" for sets in SIZES)
    return [
        Row(
            what=f"fit on {largest:,} sets x {ANSWERS} x {DIM} from a store: peak memory",
            value=measured[largest]["peak_gib"],
            unit="GiB",
            at_most=GIGABYTES,
            note="highest resident memory of a fresh process that only fits; "
            + ", ".join(f"{sets:,}: {measured[sets]['peak_gib']:.2f}" for sets in SIZES),
            details=details,
        ),
        Row(
            what=f"... seconds a set at {largest:,} over seconds a set at {smallest:,}, reading and spectra",
            value=(data[largest] / largest) / (data[smallest] / smallest),
            at_most=LINEAR,
            note=f"{spent}; the kernel is learned on 4096 sets, the posterior solved for all",
        ),
    ]


if __name__ == "__main__":
    fit_and_report(Path(sys.argv[1]))
