"""Files of a user's own questions: JSON Lines, one question per line."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from sgpu_lightning.answers.record import RecordError, require_text
from sgpu_lightning.answers.row_files import read_rows
from sgpu_lightning.errors import show_value
from sgpu_lightning.tasks.question import Question, TaskError

SUFFIXES = (".jsonl", ".jsonl.gz")
KEYS = tuple(f.name for f in fields(Question))
_REQUIRED_KEYS = ("id", "question")
_NON_EMPTY_KEYS = (*_REQUIRED_KEYS, "image")
_LIST_KEYS = ("gold", "rivals")
_URL = re.compile(r"\A(?:[a-z][a-z0-9+.-]+://|data:)", re.IGNORECASE)


def read_questions(path: Path) -> list[Question]:
    """Read a file of questions.

    Args:
        path: A ``.jsonl`` or ``.jsonl.gz`` file in UTF-8. Each line is an object with the keys ``id`` (unique) and
            ``question``, and optionally ``gold`` (a string or a list of strings), ``context``, ``image`` (a URL, or a
            path relative to the file's folder), ``group`` and ``rivals`` (like ``gold``); see `Question`. Blank lines
            are skipped.

    Raises:
        TaskError: If the file is missing or empty, or at a bad line; names file and line, the key, what was expected
            and what was got.
    """
    if not path.is_file():
        raise TaskError(f"{path}: expected a file of questions ({', '.join(SUFFIXES)}), got none there")
    questions: list[Question] = []
    first_seen: dict[str, str] = {}
    try:
        for where, row in read_rows(path):
            if isinstance(row, RecordError):
                raise row
            question = _with_image(parse_question(row, where), path.parent)
            if question.id in first_seen:
                raise TaskError(
                    f"{where}: key 'id': expected a unique id, got '{question.id}', "
                    f"which {first_seen[question.id]} has as well"
                )
            first_seen[question.id] = where
            questions.append(question)
    except RecordError as error:
        raise TaskError(str(error)) from error
    if not questions:
        raise TaskError(f"{path}: expected at least one question, got none")
    return questions


def parse_question(row: object, where: str = "question") -> Question:
    """Check one decoded line and convert it to a `Question`.

    Args:
        row: The decoded JSON object. A key whose value is null counts as missing.
        where: Place of the line, for error messages, for example ``questions.jsonl:12``.

    Raises:
        TaskError: If the line breaks the format; names ``where``, the key, what was expected and what was got.
    """
    if not isinstance(row, Mapping):
        raise TaskError(f"{where}: expected a JSON object, got {show_value(row)}")
    for key in row:
        # Otherwise a misspelt "gold" would silently lose every label.
        if key not in KEYS:
            raise TaskError(f"{where}: key '{key}': expected one of {', '.join(KEYS)}, got an unknown key")
    parsed: dict[str, Any] = {}
    for key in KEYS:
        value = row.get(key)
        if value is None:
            if key in _REQUIRED_KEYS:
                raise TaskError(f"{where}: key '{key}': expected a non-empty string, got nothing")
            continue
        parsed[key] = _parse_texts(value, where, key) if key in _LIST_KEYS else _parse_text(value, where, key)
    return Question(**parsed)


def _parse_text(value: object, where: str, key: str) -> str:
    try:
        text = require_text(value, where, key)
    except RecordError as error:
        raise TaskError(str(error)) from error
    if key in _NON_EMPTY_KEYS and not text.strip():
        hint = "; leave the key out where there is none" if key not in _REQUIRED_KEYS else ""
        raise TaskError(f"{where}: key '{key}': expected a non-empty string, got {show_value(text)}{hint}")
    return text


def _parse_texts(value: object, where: str, key: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise TaskError(f"{where}: key '{key}': expected a string or a list of strings, got {show_value(value)}")
    return tuple(_parse_text(item, where, f"{key}[{i}]") for i, item in enumerate(value))


def _with_image(question: Question, folder: Path) -> Question:
    if question.image is None:
        return question
    image = question.image if _URL.match(question.image) else str(folder / question.image)
    # Grouped by image: questions about images often have the same text and would otherwise form one group.
    group = question.group or f"image {hashlib.sha256(question.image.encode()).hexdigest()}"
    return replace(question, image=image, group=group)
