"""The record: one question, the answers a model gave, and whether the scored answer is right.

Every stage shares this data contract. docs/record.md lists the keys.
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
    """A record that breaks the contract; the message names the place, the key, what was expected and what was got."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSet:
    """One question with its sampled answers.

    Args:
        id: Unique within a file or store.
        answers: The N >= 2 sampled answers.
        question: The question's text; may be empty if only the answers are known.
        context: Passage that the question is about; None if there is none.
        greedy: The deterministic answer; None if it was not generated.
        gold: Accepted right answers; None if unknown.
        label: 1 if the scored answer is right, 0 if it is wrong, None if unknown.
        dataset: Name of the dataset that the question comes from.
        model: Name of the model that answered.
        modality: ``text``, or ``image`` for image and text.
        group: Key shared by questions that must not be split apart; None for the default, see `group_key`.
        logprobs: Summed log-probability of each answer in nats, [N]; None if unknown.
        image: Path or URL of the question's image; None if there is none.
        meta: All other keys of the record.
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
        """Key of the records that splits keep together: ``group``, else the question text, else the id."""
        return self.group or self.question or self.id

    def content_hash(self) -> int:
        """Hash of the content that must not change under one id; comparable within one process only.

        A hash instead of the content, so that the hashes of a large store fit in memory.
        """
        return hash((self.question, self.answers, self.greedy, self.gold, self.label))

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON-ready keys and values."""
        row = {key: getattr(self, key) for key in KEYS}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in row.items()}


KEYS = tuple(f.name for f in fields(AnswerSet))
_TEXT_KEYS = ("question", "dataset", "model")
_OPTIONAL_TEXT_KEYS = ("context", "greedy", "group", "image")


def parse_record(row: object, where: str = "record") -> AnswerSet:
    """Check one decoded record and convert it to an `AnswerSet`.

    Args:
        row: The decoded JSON object or Parquet row. Unknown keys are kept in ``meta``.
        where: Place of the row, for error messages, for example ``answers.jsonl:12``.

    Raises:
        RecordError: If the row breaks the contract; names ``where``, the key, what was expected and what was got.
    """
    if not isinstance(row, Mapping):
        raise RecordError(f"{where}: expected a JSON object, got {show_value(row)}")
    known = {key: row[key] for key in KEYS if row.get(key) is not None}
    unknown = {key: value for key, value in row.items() if key not in KEYS}
    meta = _parse_meta(known.pop("meta", {}), unknown, where)
    if row.get("id") is None:
        raise RecordError(f"{where}: key 'id' is missing: expected a string that is unique in the file")
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
    """Return the value if it is valid Unicode text.

    Args:
        value: The value.
        where: Place of the record, for error messages.
        key: Key of the value, for error messages.

    Raises:
        RecordError: If the value is not a string or holds a lone surrogate; names ``where``, the key, what was
            expected and what was got.
    """
    if not isinstance(value, str):
        raise RecordError(f"{where}: key '{key}': expected a string, got {show_value(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can escape one, but no file or tokenizer accepts it
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
