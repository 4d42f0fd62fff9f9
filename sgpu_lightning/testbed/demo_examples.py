"""Examples printed by the demo: questions, sampled answers, images and eigenspectra."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from sgpu_lightning.answers.storage.store import AnswerStore
from sgpu_lightning.features.gram_kernels import cosine_gram, gram_matrix
from sgpu_lightning.features.spectrum import eigenspectrum

if TYPE_CHECKING:
    from rich.console import Console


def show_examples(store: AnswerStore, console: Console) -> None:
    """Print the question whose answers agree most, and the one whose answers agree least, of the first hundred.

    Args:
        store: The answers, with hidden states and MiniLM vectors.
        console: Console for the output.
    """
    records = store.read(store.shards[0])[:100]
    spectra = {
        "hidden states" if spec.kind == "hidden" else spec.source: _spectra(store, name, len(records))
        for name, spec in store.vector_specs.items()
    }
    largest = spectra["minilm"][:, 0]
    for which in (int(largest.argmax()), int(largest.argmin())):
        record = records[which]
        gold = record.gold[0] if record.gold else "?"
        console.print(f"  {record.question}  (right answer: {gold})", markup=False, highlight=False)
        if record.image is not None:
            console.print(picture(Path(record.image)), markup=False, highlight=False)
        answers = " | ".join(record.answers)
        console.print(f"    greedy: {record.greedy}; sampled: {answers}", markup=False, highlight=False)
        for source, rows in spectra.items():
            values = rows[which].tolist()
            numbers = " ".join(f"{value:.3f}" for value in values)
            console.print(f"    eigenvalues, {source:13} {_bars(values)}  {numbers}", markup=False, highlight=False)


def _spectra(store: AnswerStore, name: str, count: int) -> torch.Tensor:
    """Compute the eigenspectra of the first ``count`` answer sets of the first shard, [count, N]."""
    shard = store.read_vectors(name, store.shards[0])
    answers = int(shard.counts[0])
    vectors = torch.from_numpy(shard.answers[: count * answers]).reshape(count, answers, -1)
    return eigenspectrum(gram_matrix(cosine_gram(vectors)))


def _bars(values: Iterable[float]) -> str:
    """Draw a bar for each eigenvalue, on a square-root scale so that small eigenvalues are visible."""
    levels = " ▁▂▃▄▅▆▇█"
    return "".join(levels[min(round(value**0.5 * (len(levels) - 1)), len(levels) - 1)] for value in values)


def picture(path: Path) -> str:
    """Draw a digit's image for the terminal, with two characters for each of its 8 x 8 pixels.

    Args:
        path: The image file.
    """
    from PIL import Image

    levels = " ░▒▓█"
    with Image.open(path) as image:
        rows = torch.tensor(list(image.resize((8, 8), Image.Resampling.NEAREST).tobytes())).reshape(8, 8)
    cells = (rows * len(levels) // 256).tolist()
    return "\n".join("    " + "".join(2 * levels[cell] for cell in row) for row in cells)
