"""Questions about handwritten digits: real images, some spoilt until nobody could tell the digit for sure.

The images are scikit-learn's ``load_digits``, 1797 digits of 8 x 8 pixels. What a model is unsure of is what noise and
a covered square leave unsure; no label is wrong.
"""

from __future__ import annotations

import hashlib
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgpu_lightning.answers.cache_folder import default_cache_dir
from sgpu_lightning.errors import SGPUError
from sgpu_lightning.tasks.question import Question
from sgpu_lightning.tasks.registry import register_task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

IMAGE_SIZE = 24  # pixels a side, three for each of the original's
ASKED = 400  # source images kept for the questions; the others are for training
VARIANTS = 2  # questions about each of them, differently spoilt
QUESTIONS = (
    "Which digit is written here?",
    "What number does the picture show?",
    "Which digit do you see in the image?",
)
# Of the answers, bare ones are the most usual, but no wording is rare: samples of a clear digit differ in wording.
ANSWERS = ("{numeral}", "{word}", "It is {article} {word}.", "I think this is {numeral}.")
ANSWER_WEIGHTS = (4, 3, 2, 2)
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Strength:
    """How badly an image is spoilt.

    Args:
        noise: Standard deviation of what is added to each of the 8 x 8 pixels, where ink is 1 and paper 0.
        covered: Side of the covered square in those pixels; 0 covers nothing.
    """

    noise: float
    covered: int


STRENGTHS = (Strength(0.1, 0), Strength(0.2, 3), Strength(0.3, 4), Strength(0.4, 4))


@dataclass(frozen=True, slots=True)
class Views:
    """Spoilt images, in order.

    Args:
        pixels: Grey values, uint8 [views, 24, 24].
        digits: What each shows, int64 [views].
        sources: Index of each one's image in ``load_digits``, int64 [views].
        strengths: Index into `STRENGTHS`, int64 [views].
    """

    pixels: npt.NDArray[np.uint8]
    digits: npt.NDArray[np.int64]
    sources: npt.NDArray[np.int64]
    strengths: npt.NDArray[np.int64]


def phrasings(digit: int) -> tuple[str, ...]:
    """Every wording of the answer ``digit``, the bare numeral first."""
    article = "an" if digit == 8 else "a"
    return tuple(template.format(numeral=digit, word=WORDS[digit], article=article) for template in ANSWERS)


def asked_views(seed: int = 0) -> Views:
    """What the questions show: each source image kept for them, at `VARIANTS` different strengths."""
    import numpy as np

    rng = np.random.default_rng([seed, 1])
    sources = np.repeat(_split(seed)[0], VARIANTS)
    strengths = np.concatenate([rng.permutation(len(STRENGTHS))[:VARIANTS] for _ in range(ASKED)])
    return _spoil(sources, strengths, rng)


def training_views(count: int, seed: int = 0) -> Views:
    """Draw views of the source images that no question of this seed shows."""
    import numpy as np

    rng = np.random.default_rng([seed, 2])
    return _spoil(rng.choice(_split(seed)[1], count), rng.integers(len(STRENGTHS), size=count), rng)


def _split(seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices of the source images: `ASKED` for the questions, and the others."""
    import numpy as np

    order = np.random.default_rng([seed, 0]).permutation(len(_images()[1]))
    return order[:ASKED], order[ASKED:]


def _images() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The images [1797, 8, 8] in [0, 1], and the digits they show."""
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    return found.images / 16, found.target


def _spoil(sources: npt.NDArray[np.int64], strengths: npt.NDArray[np.int64], rng: np.random.Generator) -> Views:
    """Cover a square with an even grey, add noise, enlarge."""
    import numpy as np

    images, digits = _images()
    noise = np.array([strength.noise for strength in STRENGTHS])[strengths, None, None]
    side = np.array([strength.covered for strength in STRENGTHS])[strengths]
    ink = images[sources]
    width = ink.shape[-1]
    corner = rng.integers(0, width + 1 - side[:, None], size=(len(sources), 2))
    place = np.arange(width)
    inside = (place >= corner[..., None]) & (place < (corner + side[:, None])[..., None])
    covered = inside[:, 0, :, None] & inside[:, 1, None, :]
    grey = rng.random((len(sources), 1, 1))
    ink = np.where(covered, grey, ink) + noise * rng.standard_normal(ink.shape)
    pixels = np.rint(255 * ink.clip(0, 1)).astype(np.uint8)
    scale = IMAGE_SIZE // width
    return Views(pixels.repeat(scale, axis=1).repeat(scale, axis=2), digits[sources], sources, strengths)


def digit_questions(folder: Path | None = None, *, count: int | None = None, seed: int = 0) -> list[Question]:
    """Ask what digit an image shows, for images that no model built with this seed was trained on.

    ``gold`` is the numeral and the word. The group is the source image. An id such as ``digit-0123-2`` tells the
    source image and the strength, from 0, clear, to 3, often beyond recognition.

    Args:
        folder: Where the folder of PNG files is made, unless it is there; None for the user's cache folder, or
            ``$SGPU_CACHE``. It is named after what the images show, so it never holds old ones.
        count: Ask only this many, in shuffled order; None asks all.
        seed: Splits the source images, and draws how they are spoilt.

    Raises:
        SGPUError: If ``count`` is not between 1 and the number of questions.
    """
    available = ASKED * VARIANTS
    count = available if count is None else count
    if not 1 <= count <= available:
        raise SGPUError(f"count: expected 1 to {available} questions, got {count}")
    views = asked_views(seed)
    name = f"digits-{hashlib.sha256(views.pixels.tobytes()).hexdigest()[:12]}"
    folder = (default_cache_dir() if folder is None else folder) / name
    rng = random.Random(f"digit questions {seed}")
    return [_ask(rng, views, row, folder) for row in rng.sample(range(available), count)]


@register_task("digits")
def digits() -> list[Question]:
    """What digit an image shows; see `digit_questions`. The images are written to the user's cache folder."""
    return digit_questions()


def _ask(rng: random.Random, views: Views, row: int, folder: Path) -> Question:
    source, strength = int(views.sources[row]), int(views.strengths[row])
    name = f"digit-{source:04d}-{strength}"
    digit = int(views.digits[row])
    return Question(
        id=name,
        question=rng.choice(QUESTIONS),
        gold=(str(digit), WORDS[digit]),
        image=str(_write_image(views.pixels[row], folder / f"{name}.png")),
        group=f"digit {source}",
    )


def _write_image(pixels: npt.NDArray[np.uint8], path: Path) -> Path:
    """Write a grey PNG file unless it is there; processes that write it at the same time do not meet."""
    from PIL import Image

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.part")
        Image.fromarray(pixels).save(unfinished, format="PNG")
        unfinished.replace(path)
    return path
