"""A question as the messages of a chat request, its image included."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from sgpu_lightning.errors import SamplingError
from sgpu_lightning.sampling.images import OWN_DATA, shorten
from sgpu_lightning.sampling.prompt import chat_messages
from sgpu_lightning.tasks.prompt_settings import PromptSettings
from sgpu_lightning.tasks.question import Question

MAX_IMAGE_BYTES = 20 * 2**20  # what the strictest vendors take
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"BM": "image/bmp",
}


def build_messages(question: Question, prompt: PromptSettings, *, allow_urls: bool) -> list[dict[str, Any]]:
    """The messages of a chat request.

    Args:
        question: Its image, if there is one, comes before the text.
        prompt: Template and system message; the chat template itself is the server's.
        allow_urls: Whether an image's URL may be passed on.

    Raises:
        SamplingError: If the image cannot be had, or the template needs a context that is not there.
    """
    messages: list[dict[str, Any]] = [*chat_messages(question, prompt)]
    if question.image is not None:
        image = {"type": "image_url", "image_url": {"url": _image_url(question.image, question.id, allow_urls)}}
        messages[-1]["content"] = [image, {"type": "text", "text": messages[-1]["content"]}]
    return messages


def _image_url(image: str, question_id: str, allow_urls: bool) -> str:
    if image.startswith(("http://", "https://")):
        if not allow_urls:
            raise SamplingError(
                f"question '{question_id}': expected an image file, got the URL {image!r}: allow_urls passes it on "
                "to the server, which then fetches it"
            )
        return image
    if image.startswith("data:"):
        raise SamplingError(f"question '{question_id}': image {shorten(image)}: {OWN_DATA}")
    return _data_url(Path(image), question_id)


def _data_url(path: Path, question_id: str) -> str:
    """An image file as a data URL."""
    where = f"question '{question_id}': image {shorten(str(path))}"
    try:
        if not path.is_file():  # reading what is no file, a pipe for example, might never end
            raise SamplingError(f"{where}: expected a file, got none there; looked from {Path.cwd()}")
        if (size := path.stat().st_size) > MAX_IMAGE_BYTES:
            raise SamplingError(f"{where}: expected at most {MAX_IMAGE_BYTES:,} bytes, got {size:,}")
        content = path.read_bytes()
    except OSError as error:
        raise SamplingError(f"{where}: expected a readable file, got {error.strerror}") from error
    return f"data:{_media_type(content, where)};base64,{base64.b64encode(content).decode()}"


def _media_type(content: bytes, where: str) -> str:
    for magic, media_type in _MAGIC.items():
        if content.startswith(magic):
            return media_type
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    raise SamplingError(f"{where}: expected PNG, JPEG, GIF, BMP or WebP, got a file that begins {content[:8]!r}")
