"""The image of a question: from a file or, where that is allowed, from an address."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from sgpu_lightning.errors import QuestionError
from sgpu_lightning.tasks.question import Question

if TYPE_CHECKING:
    from PIL.Image import Image

# An image is decoded whole before a processor makes it small: a hundred times 50 megapixels is all a machine has.
MAX_PIXELS = 50_000_000
MAX_BYTES = 64 * 2**20
TIMEOUT_S = 30.0
OWN_DATA = "expected a file, got the image's own data: write it to a file"
_SHOWN = 200  # characters of a name in a message
_URL_SCHEMES = ("http://", "https://")


def load_image(question: Question, *, allow_urls: bool = False) -> Image:
    """Decode a question's image, upright and in RGB; the first frame of a moving one.

    Args:
        question: With an image: the path of a file, or an http or https address.
        allow_urls: Whether addresses are fetched. Off unless asked for: a file of questions that comes from elsewhere
            could otherwise make this machine ask any server it can reach.

    Raises:
        QuestionError: If the image is missing, cannot be decoded, has more than `MAX_PIXELS` pixels, or is an address
            that may not be or cannot be fetched.
    """
    from PIL import ImageOps, UnidentifiedImageError

    image = _open(question, allow_urls)
    try:
        return ImageOps.exif_transpose(image).convert("RGB")
    # What broken files raise depends on the format and on where they break.
    except (OSError, ValueError, SyntaxError, EOFError, UnidentifiedImageError) as error:
        raise _bad(question, f"expected an image, got a file that breaks off or is damaged ({error})") from error


def is_address(image: str | None) -> bool:
    """Whether an image is named by an http or https address."""
    return image is not None and image.lower().startswith(_URL_SCHEMES)


def image_size(question: Question, *, allow_urls: bool = False) -> tuple[int, int]:
    """Height and width of a question's image in pixels, from its header alone.

    Raises:
        QuestionError: As `load_image`, unless only the pixels are damaged.
    """
    width, height = _open(question, allow_urls).size
    return height, width


def _open(question: Question, allow_urls: bool) -> Image:
    from PIL import Image, UnidentifiedImageError

    source = _source(question, allow_urls)
    try:
        with warnings.catch_warnings():
            # Pillow only warns of what is twice too large; the limit below is stricter.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(source)
    except UnidentifiedImageError as error:
        raise _bad(question, "expected an image, got a file of a kind that Pillow does not know") from error
    except Image.DecompressionBombError as error:
        raise _bad(question, f"expected at most {MAX_PIXELS:,} pixels: {error}; make it smaller") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise _bad(question, f"expected an image, got a file that cannot be read ({error})") from error
    if image.width * image.height > MAX_PIXELS:
        got = f"{image.width} x {image.height}"
        raise _bad(question, f"expected at most {MAX_PIXELS:,} pixels, got {got}; make it smaller")
    return image


def _source(question: Question, allow_urls: bool) -> Path | io.BytesIO:
    address = question.image or ""
    if is_address(address):
        if not allow_urls:
            raise _bad(question, "expected a file, got an address, which is not fetched unless allow_urls is set")
        return _fetch(question, address)
    if address.startswith("data:"):
        raise _bad(question, OWN_DATA)
    if not _is_file(address):
        raise _bad(question, f"expected a file, got none there; looked from {Path.cwd()}")
    return Path(address)


def _is_file(name: str) -> bool:
    try:
        return bool(name) and Path(name).is_file()
    except OSError:  # a name that is too long
        return False


def _fetch(question: Question, address: str) -> io.BytesIO:
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    # urllib follows redirects to http, https and ftp alone, never to a file.
    request = Request(address, headers={"User-Agent": "sgpu_lightning"})
    try:
        with urlopen(request, timeout=TIMEOUT_S) as response:
            data = response.read(MAX_BYTES + 1)
    except (OSError, HTTPException, ValueError) as error:
        raise _bad(question, f"expected an image at this address, could not fetch it ({error})") from error
    if len(data) > MAX_BYTES:
        raise _bad(question, f"expected at most {MAX_BYTES:,} bytes, got more; make it smaller")
    return io.BytesIO(data)


def _bad(question: Question, problem: str) -> QuestionError:
    return QuestionError(question.id, f"image '{shorten(question.image or '')}': {problem}")


def shorten(name: str) -> str:
    """A file's name or an address for a message."""
    return name if len(name) <= _SHOWN else f"{name[: _SHOWN - 3]}..."
