"""The record: one question, the answers a model gave, and whether the scored one is right.

This is the data contract every stage shares. The keys are listed in docs/record.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from sgpu_lightning.errors import SGPUError, show_value

Modality = Literal["text", "image"]
MIN_ANSWERS = 2


class RecordError(SGPUError):
    """A record that breaks the contract: says where, which key, what was expected and what was got."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSet:
    """One question with its sampled answers.

    Args:
        id: Unique within a file or store.
        answers: The N >= 2 sampled answers.
        question: The question's text; may be empty when only answers are at hand.
        context: A passage the question is about.
        greedy: The deterministic answer.
        gold: Accepted right answers.
        label: 1 the scored answer is right, 0 wrong, None unknown.
        dataset: Where the question comes from.
        model: Who answered.
        modality: ``text``, or ``image`` for image and text.
        group: Questions that must not be split apart share one; see `group_key`.
        logprobs: Summed log-probability (nats) of each answer, [N].
        image: Path or URL of the question's image.
        meta: Everything else the record carried.
    """

    id: str
    answers: tuple[str, ...]
    question: str = ""
    context: str | None = None
    greedy: str | None = None
    gold: tuple[str, ...] | None = None
    label: int | None = None
    dataset: str = ""
    model: str = ""
    modality: Modality = "text"
    group: str | None = None
    logprobs: tuple[float, ...] | None = None
    image: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def group_key(self) -> str:
        """What splits keep together: ``group``, else the question text, else the id."""
        return self.group or self.question or self.id

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON-ready keys and values."""
        row = {key: getattr(self, key) for key in KEYS}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in row.items()}


KEYS = tuple(f.name for f in fields(AnswerSet))
_TEXT_KEYS = ("question", "dataset", "model")
_OPTIONAL_TEXT_KEYS = ("context", "greedy", "group", "image")


def parse_record(row: object, where: str = "record") -> AnswerSet:
    """Check one decoded record and make it an `AnswerSet`.

    Args:
        row: The decoded JSON object or Parquet row. Unknown keys are kept in ``meta``.
        where: Named in errors, for example ``answers.jsonl:12``.

    Raises:
        RecordError: Naming ``where``, the key, what was expected and what was got.
    """
    if not isinstance(row, Mapping):
        raise RecordError(f"{where}: expected a JSON object, got {show_value(row)}")
    known = {key: row[key] for key in KEYS if row.get(key) is not None}
    unknown = {key: value for key, value in row.items() if key not in KEYS}
    meta = _parse_meta(known.pop("meta", {}), unknown, where)
    if row.get("id") is None:
        raise RecordError(f"{where}: key 'id' is missing: expected a string, unique in the file")
    identity = require_text(row["id"], where, "id")
    if not identity:
        raise RecordError(f"{where}: key 'id': expected a non-empty string, got ''")
    answers = _parse_answers(row.get("answers"), where)
    parsed: dict[str, Any] = {"id": identity, "answers": answers, "meta": meta}
    for key in (*_TEXT_KEYS, *_OPTIONAL_TEXT_KEYS):
        if key in known:
            parsed[key] = require_text(known[key], where, key)
    if "gold" in known:
        parsed["gold"] = _parse_texts(known["gold"], where, "gold")
    if "label" in known:
        parsed["label"] = _parse_label(known["label"], where)
    if "logprobs" in known:
        parsed["logprobs"] = _parse_logprobs(known["logprobs"], where, len(answers))
    if "modality" in known:
        parsed["modality"] = _parse_modality(known["modality"], where)
    return AnswerSet(**parsed)


def require_text(value: object, where: str, key: str) -> str:
    """The value, if it is text that a file can hold.

    Raises:
        RecordError: Naming ``where``, the key, what was expected and what was got.
    """
    if not isinstance(value, str):
        raise RecordError(f"{where}: key '{key}': expected a string, got {show_value(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can spell half a character, which no file or tokenizer takes
        raise RecordError(f"{where}: key '{key}': expected Unicode text, got a lone surrogate ({error})") from error
    return value


def _parse_texts(value: object, where: str, key: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise RecordError(f"{where}: key '{key}': expected a list of strings, got {show_value(value)}")
    return tuple(require_text(item, where, f"{key}[{i}]") for i, item in enumerate(value))


def _parse_answers(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        raise RecordError(f"{where}: key 'answers' is missing: expected a list of at least {MIN_ANSWERS} strings")
    answers = _parse_texts(value, where, "answers")
    if len(answers) < MIN_ANSWERS:
        raise RecordError(
            f"{where}: key 'answers': expected at least {MIN_ANSWERS} answers, got {len(answers)}; "
            "disagreement needs more than one sample"
        )
    return answers


def _parse_label(value: object, where: str) -> int:
    if value not in (0, 1):
        raise RecordError(f"{where}: key 'label': expected 0, 1 or null, got {show_value(value)}")
    return int(value)


def _parse_logprobs(value: object, where: str, count: int) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or len(value) != count:
        raise RecordError(
            f"{where}: key 'logprobs': expected {count} numbers, one for each answer, got {show_value(value)}"
        )
    for i, item in enumerate(value):
        if isinstance(item, bool) or not isinstance(item, int | float) or not _is_finite(item):
            raise RecordError(f"{where}: key 'logprobs[{i}]': expected a finite number, got {show_value(item)}")
    return tuple(float(item) for item in value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer too large for a float
        return False


def _parse_modality(value: object, where: str) -> Modality:
    if value not in ("text", "image"):
        raise RecordError(f"{where}: key 'modality': expected 'text' or 'image', got {show_value(value)}")
    return value


def _parse_meta(value: object, unknown: dict[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise RecordError(f"{where}: key 'meta': expected an object, got {show_value(value)}")
    meta = {**value, **unknown}
    for key, item in meta.items():
        if key in value and value[key] is not item and value[key] != item:
            raise RecordError(
                f"{where}: key '{key}': expected one value, "
                f"got {show_value(item)} and, in 'meta', {show_value(value[key])}"
            )
    return meta
