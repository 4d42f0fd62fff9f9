"""The task ``digits``: which handwritten digit an image shows, some images degraded beyond recognition."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import TYPE_CHECKING

from sgpu_lightning.answers.atomic_write import atomic_write
from sgpu_lightning.answers.cache_folder import default_cache_dir
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.tasks.digits import ASKED, QUESTIONS, VARIANTS, WORDS, DigitImages, question_images
from sgpu_lightning.tasks.question import Question
from sgpu_lightning.tasks.registry import register_task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def digit_questions(folder: Path | None = None, *, count: int | None = None, seed: int = 0) -> list[Question]:
    """Questions about which digit an image shows; no model built with the same seed was trained on these images.

    ``gold`` holds the numeral and the word. The group is the source image. An id such as ``digit-0123-2`` names the
    source image and the strength of the degradation, from 0 (clear) to 3 (often beyond recognition).

    Args:
        folder: Folder in which the folder of PNG files is created, unless it exists; None for the user's cache folder,
            or ``$SGPU_CACHE``. The folder of PNG files is named after a hash of the images, so that it never holds
            outdated ones.
        count: Number of questions, in shuffled order; None for all.
        seed: Seed of the split of the source images and of their degradations.

    Raises:
        SGPUError: If ``count`` is not between 1 and the number of questions.
    """
    available = ASKED * VARIANTS
    count = available if count is None else count
    if not 1 <= count <= available:
        raise SGPUError(f"count: expected 1 to {available} questions, got {count}")
    images = question_images(seed)
    name = f"digits-{hashlib.sha256(images.pixels.tobytes()).hexdigest()[:12]}"
    folder = (default_cache_dir() if folder is None else folder) / name
    rng = random.Random(f"digit questions {seed}")
    return [_question(rng, images, row, folder) for row in rng.sample(range(available), count)]


@register_task("digits")
def digits() -> list[Question]:
    """All questions of `digit_questions`; the images are written to the user's cache folder."""
    return digit_questions()


def _question(rng: random.Random, images: DigitImages, row: int, folder: Path) -> Question:
    source, strength = int(images.sources[row]), int(images.strengths[row])
    name = f"digit-{source:04d}-{strength}"
    digit = int(images.digits[row])
    return Question(
        id=name,
        question=rng.choice(QUESTIONS),
        gold=(str(digit), WORDS[digit]),
        image=str(_write_image(images.pixels[row], folder / f"{name}.png")),
        group=f"digit {source}",
    )


def _write_image(pixels: npt.NDArray[np.uint8], path: Path) -> Path:
    """Write a grey PNG file unless it exists; several processes may do so at the same time."""
    from PIL import Image

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as partial:
            Image.fromarray(pixels).save(partial, format="PNG")
    return path
