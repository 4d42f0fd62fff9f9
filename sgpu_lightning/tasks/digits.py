"""Degraded images of handwritten digits, and the wordings of questions and answers about them.

The images are scikit-learn's ``load_digits``, 1797 digits of 8 x 8 pixels. Some are degraded until nobody can
recognise the digit for certain. A model's uncertainty comes only from the noise and the covered square; no label is
wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

IMAGE_SIZE = 24  # pixels per side, three for each pixel of the original
ASKED = 400  # number of source images reserved for the questions; the others are for training
VARIANTS = 2  # number of questions about each source image, with different degradations
QUESTIONS = (
    "Which digit is written here?",
    "What number does the picture show?",
    "Which digit do you see in the image?",
)
# The bare numeral is the most frequent answer, but no wording is rare: samples of a clear digit differ in wording.
ANSWERS = ("{numeral}", "{word}", "It is {article} {word}.", "I think this is {numeral}.")
ANSWER_WEIGHTS = (4, 3, 2, 2)
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Strength:
    """Strength of a degradation.

    Args:
        noise: Standard deviation of the noise added to each of the 8 x 8 pixels, where ink is 1 and paper 0.
        covered: Side of the covered square in those pixels; 0 covers nothing.
    """

    noise: float
    covered: int


STRENGTHS = (Strength(0.1, 0), Strength(0.2, 3), Strength(0.3, 4), Strength(0.4, 4))


@dataclass(frozen=True, slots=True)
class DigitImages:
    """Degraded images of digits.

    Args:
        pixels: Grey values, uint8 [images, 24, 24].
        digits: The digit that each image shows, int64 [images].
        sources: Index of each image's source in ``load_digits``, int64 [images].
        strengths: Index of each image's degradation in `STRENGTHS`, int64 [images].
    """

    pixels: npt.NDArray[np.uint8]
    digits: npt.NDArray[np.int64]
    sources: npt.NDArray[np.int64]
    strengths: npt.NDArray[np.int64]


def phrasings(digit: int) -> tuple[str, ...]:
    """Every wording of the answer ``digit``, the bare numeral first."""
    article = "an" if digit == 8 else "a"
    return tuple(template.format(numeral=digit, word=WORDS[digit], article=article) for template in ANSWERS)


def question_images(seed: int = 0) -> DigitImages:
    """Images of the questions: each source image reserved for them, at `VARIANTS` different strengths.

    Args:
        seed: Seed of the split of the source images and of their degradations.
    """
    import numpy as np

    rng = np.random.default_rng([seed, 1])
    sources = np.repeat(_split(seed)[0], VARIANTS)
    strengths = np.concatenate([rng.permutation(len(STRENGTHS))[:VARIANTS] for _ in range(ASKED)])
    return _degrade(sources, strengths, rng)


def training_images(count: int, seed: int = 0) -> DigitImages:
    """Draw degraded images of the source images that no question of this seed shows.

    Args:
        count: Number of images.
        seed: Seed of the split of the source images, of the draws and of the degradations.
    """
    import numpy as np

    rng = np.random.default_rng([seed, 2])
    return _degrade(rng.choice(_split(seed)[1], count), rng.integers(len(STRENGTHS), size=count), rng)


def _split(seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices of the source images: `ASKED` for the questions, and the others for training."""
    import numpy as np

    order = np.random.default_rng([seed, 0]).permutation(len(_images()[1]))
    return order[:ASKED], order[ASKED:]


def _images() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The source images [1797, 8, 8] with values in [0, 1], and the digits that they show [1797]."""
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    return found.images / 16, found.target


def _degrade(sources: npt.NDArray[np.int64], strengths: npt.NDArray[np.int64], rng: np.random.Generator) -> DigitImages:
    """Cover a square with a uniform grey, add noise, enlarge the image."""
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
    return DigitImages(pixels.repeat(scale, axis=1).repeat(scale, axis=2), digits[sources], sources, strengths)
