"""Answer sets given by the caller in memory: one set, lists of answers, or records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sgpu_lightning.answers.record import AnswerSet, RecordError, parse_record
from sgpu_lightning.errors import show_value


def records_of(answers: Any, columns: Mapping[str, Any]) -> tuple[bool, list[AnswerSet]]:
    """Convert the arguments of `SGPUPredictor.score` to answer sets.

    Args:
        answers: The answers of one set, a list of such lists, or records.
        columns: The other keys of one record, or one list per key for several sets; None for keys not given.

    Returns:
        Whether a single set was given, and the sets.

    Raises:
        RecordError: If a value is not as expected; the message names the set and the key.
    """
    given = {key: value for key, value in columns.items() if value is not None}
    if isinstance(answers, str | Mapping) or not isinstance(answers, Iterable):
        raise RecordError(
            f"answers: expected the answers of a set, or a list of records, got {show_value(answers)}; for one record "
            "use score([record])"
        )
    items = list(answers)
    if not items or isinstance(items[0], str):
        return True, [_record({"answers": items, **given}, 0)]
    if isinstance(items[0], Mapping | AnswerSet):
        if given:
            raise RecordError(f"{', '.join(given)}: expected as keys of the records, got as separate arguments")
        return False, [item if isinstance(item, AnswerSet) else _record(item, i) for i, item in enumerate(items)]
    for key, values in given.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or len(values) != len(items):
            raise RecordError(f"{key}: expected {len(items)} values, one for each set, got {show_value(values)}")
    rows = ({"answers": own, **{key: values[i] for key, values in given.items()}} for i, own in enumerate(items))
    return False, [_record(row, i) for i, row in enumerate(rows)]


def _record(row: Any, position: int) -> AnswerSet:
    if isinstance(row, Mapping) and row.get("id") is None:
        row = {**row, "id": str(position)}
    return parse_record(row, f"answer set {position}")
