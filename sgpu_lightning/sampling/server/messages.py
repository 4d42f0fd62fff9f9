"""A question as the messages of a chat request, with its image if it has one."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from sgpu_lightning.errors import SamplingError
from sgpu_lightning.sampling.images import DATA_URL_REFUSED, shorten
from sgpu_lightning.tasks.prompt_settings import CHAT_TEMPLATE, PromptSettings, fill_template
from sgpu_lightning.tasks.question import Question

MAX_IMAGE_BYTES = 20 * 2**20  # the limit of the strictest vendors
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"BM": "image/bmp",
}


def build_messages(question: Question, prompt: PromptSettings, *, allow_urls: bool) -> list[dict[str, Any]]:
    """Build the messages of a chat request; the last one is the user's.

    Args:
        question: The question. Its image, if any, comes before the text.
        prompt: The template and the system message. The chat template is the server's.
        allow_urls: Whether an image's URL may be passed on to the server.

    Raises:
        SamplingError: If the image cannot be read, or the template needs a context and the question has none.
    """
    content: Any = fill_template(prompt.template or CHAT_TEMPLATE, question)
    if question.image is not None:
        image = {"type": "image_url", "image_url": {"url": _image_url(question.image, question.id, allow_urls)}}
        content = [image, {"type": "text", "text": content}]
    system = [] if prompt.system is None else [{"role": "system", "content": prompt.system}]
    return [*system, {"role": "user", "content": content}]


def _image_url(image: str, question_id: str, allow_urls: bool) -> str:
    if image.startswith(("http://", "https://")):
        if not allow_urls:
            raise SamplingError(
                f"question '{question_id}': expected an image file, got the URL {image!r}: set allow_urls to pass it "
                "on to the server, which then fetches it"
            )
        return image
    if image.startswith("data:"):
        raise SamplingError(f"question '{question_id}': image {shorten(image)}: {DATA_URL_REFUSED}")
    return _data_url(Path(image), question_id)


def _data_url(path: Path, question_id: str) -> str:
    """Encode an image file as a data URL."""
    where = f"question '{question_id}': image {shorten(str(path))}"
    try:
        if not path.is_file():  # reading something else, a pipe for example, might never end
            raise SamplingError(f"{where}: expected a file, got none at this path; the current folder is {Path.cwd()}")
        if (size := path.stat().st_size) > MAX_IMAGE_BYTES:
            raise SamplingError(f"{where}: expected at most {MAX_IMAGE_BYTES:,} bytes, got {size:,}; make it smaller")
        data = path.read_bytes()
    except OSError as error:
        raise SamplingError(f"{where}: expected a readable file, got {error.strerror}") from error
    return f"data:{_media_type(data, where)};base64,{base64.b64encode(data).decode()}"


def _media_type(data: bytes, where: str) -> str:
    for signature, media_type in _SIGNATURES.items():
        if data.startswith(signature):
            return media_type
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise SamplingError(f"{where}: expected PNG, JPEG, GIF, BMP or WebP, got a file that begins with {data[:8]!r}")
