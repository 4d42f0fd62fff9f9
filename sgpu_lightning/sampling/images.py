"""Loading a question's image from a file or, if allowed, from a URL."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from sgpu_lightning.errors import QuestionError
from sgpu_lightning.tasks.question import Question

if TYPE_CHECKING:
    from PIL.Image import Image

# An image is fully decoded before a processor shrinks it. A hundred images of 50 megapixels at once already fill the
# memory of a machine.
MAX_PIXELS = 50_000_000
MAX_BYTES = 64 * 2**20
TIMEOUT_S = 30.0
DATA_URL_REFUSED = "expected a file, got a data URL: write the image to a file"
_SHOWN_CHARACTERS = 200  # of a name in a message
_URL_SCHEMES = ("http://", "https://")


def load_image(question: Question, *, allow_urls: bool = False) -> Image:
    """Decode a question's image, upright and in RGB. Of an animation, the first frame is used.

    Args:
        question: A question with an image: the path of a file, or an http or https URL.
        allow_urls: Whether URLs are fetched. Off by default: a file of questions from an untrusted source could
            otherwise make this machine send requests to any server it can reach.

    Raises:
        QuestionError: If the image is missing, cannot be decoded, has more than `MAX_PIXELS` pixels, or is a URL that
            must not or cannot be fetched.
    """
    from PIL import ImageOps, UnidentifiedImageError

    image = _open(question, allow_urls)
    try:
        return ImageOps.exif_transpose(image).convert("RGB")
    # Which error a damaged file raises depends on its format and on where it is damaged.
    except (OSError, ValueError, SyntaxError, EOFError, UnidentifiedImageError) as error:
        raise _bad(question, f"expected an image, got a file that is truncated or damaged ({error})") from error


def is_url(image: str | None) -> bool:
    """Whether an image is given by an http or https URL."""
    return image is not None and image.lower().startswith(_URL_SCHEMES)


def image_size(question: Question, *, allow_urls: bool = False) -> tuple[int, int]:
    """Height and width of a question's image in pixels, read from the file's header.

    Args:
        question: A question with an image.
        allow_urls: Whether URLs are fetched.

    Raises:
        QuestionError: As `load_image`; damaged pixels are not detected.
    """
    width, height = _open(question, allow_urls).size
    return height, width


def _open(question: Question, allow_urls: bool) -> Image:
    from PIL import Image, UnidentifiedImageError

    source = _source(question, allow_urls)
    try:
        with warnings.catch_warnings():
            # Pillow warns above its own limit and raises an error above twice that limit; ours below is stricter.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(source)
    except UnidentifiedImageError as error:
        raise _bad(question, "expected an image, got a file in a format that Pillow does not know") from error
    except Image.DecompressionBombError as error:
        raise _bad(question, f"expected at most {MAX_PIXELS:,} pixels: {error}; make it smaller") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise _bad(question, f"expected an image, got a file that cannot be read ({error})") from error
    if image.width * image.height > MAX_PIXELS:
        got = f"{image.width} x {image.height}"
        raise _bad(question, f"expected at most {MAX_PIXELS:,} pixels, got {got}; make it smaller")
    return image


def _source(question: Question, allow_urls: bool) -> Path | io.BytesIO:
    name = question.image or ""
    if is_url(name):
        if not allow_urls:
            raise _bad(question, "expected a file, got a URL, which is not fetched unless allow_urls is set")
        return _fetch(question, name)
    if name.startswith("data:"):
        raise _bad(question, DATA_URL_REFUSED)
    if not _is_file(name):
        raise _bad(question, f"expected a file, got none at this path; the current folder is {Path.cwd()}")
    return Path(name)


def _is_file(name: str) -> bool:
    try:
        return bool(name) and Path(name).is_file()
    except OSError:  # the name is too long
        return False


def _fetch(question: Question, url: str) -> io.BytesIO:
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    # urllib follows redirects to http, https and ftp only, never to a file.
    request = Request(url, headers={"User-Agent": "sgpu_lightning"})
    try:
        with urlopen(request, timeout=TIMEOUT_S) as response:
            data = response.read(MAX_BYTES + 1)
    except (OSError, HTTPException, ValueError) as error:
        raise _bad(question, f"expected an image at this URL, could not fetch it ({error})") from error
    if len(data) > MAX_BYTES:
        raise _bad(question, f"expected at most {MAX_BYTES:,} bytes, got more; make it smaller")
    return io.BytesIO(data)


def _bad(question: Question, problem: str) -> QuestionError:
    return QuestionError(question.id, f"image '{shorten(question.image or '')}': {problem}")


def shorten(name: str) -> str:
    """Shorten a file name or URL for a message."""
    return name if len(name) <= _SHOWN_CHARACTERS else f"{name[: _SHOWN_CHARACTERS - 3]}..."
