"""Strict conversion of JSON text to dataclasses; the dataclass fields are the schema."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from sgpu_lightning.errors import show_value
from sgpu_lightning.predictor.predictor_errors import PredictorError, SchemaError

T = TypeVar("T")

_MAX_BYTES = 2**20


def decode_object(content: bytes, where: str) -> Mapping[str, Any]:
    """Decode a JSON object of at most 1 MiB.

    Args:
        content: UTF-8 encoded JSON.
        where: Name of the file in error messages.

    Raises:
        PredictorError: If the content is too large, is not UTF-8, or is not a JSON object of finite numbers.
    """
    if len(content) > _MAX_BYTES:
        raise PredictorError(f"{where}: expected at most {_MAX_BYTES:,} bytes, got {len(content):,}")
    try:
        value = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise PredictorError(f"{where}: expected UTF-8 text, got an invalid byte ({error})") from error
    except RecursionError as error:
        raise PredictorError(f"{where}: JSON nested too deeply to read") from error
    except ValueError as error:
        raise PredictorError(f"{where}: broken JSON: {error}") from error
    if not isinstance(value, dict):
        raise PredictorError(f"{where}: expected a JSON object, got {type(value).__name__}")
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"expected a finite number, got {name}")


def from_json(kind: type[T], value: Any, where: str) -> T:
    """Make a dataclass instance from a decoded JSON object.

    Args:
        kind: A dataclass whose fields are of plain types, ``Literal``, unions with None, tuples, ``dict[str, ...]``
            and other dataclasses.
        value: The object returned by `json.loads`.
        where: Name of the file in error messages.

    Raises:
        SchemaError: If a key is missing, is unknown or has another type; the message names the key.
    """
    if not isinstance(value, Mapping):
        raise SchemaError(f"{where}: expected an object, got {show_value(value)}")
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    if unknown := [key for key in value if key not in known]:
        raise SchemaError(f"{where}: expected the keys {', '.join(known)}, got {show_value(unknown[0])}")
    required = [name for name, item in known.items() if item.default is MISSING and item.default_factory is MISSING]
    if missing := [name for name in required if name not in value]:
        raise SchemaError(f"{where}: key '{missing[0]}' is missing")
    hints = get_type_hints(kind)
    return kind(**{key: _convert(hints[key], item, f"{where}: {key}") for key, item in value.items()})


def _convert(kind: Any, value: Any, where: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return None if value is None else _convert(next(one for one in inner if one is not type(None)), value, where)
    if origin is Literal:
        return _require(value in inner if isinstance(value, str | int) else False, value, f"one of {inner}", where)
    if origin is tuple:
        _require(isinstance(value, list | tuple), value, "a list", where)
        if inner[-1] is not ...:
            _require(len(value) == len(inner), value, f"a list of {len(inner)}", where)
        return tuple(_convert(inner[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        _require(isinstance(value, Mapping), value, "an object", where)
        return {key: _convert(inner[1], item, f"{where}.{key}") for key, item in value.items()}
    if is_dataclass(kind):
        return from_json(kind, value, where)  # type: ignore[arg-type]
    if kind is float:
        return float(_require(_is_number(value), value, "a number", where))
    return _require(
        isinstance(value, kind) and (kind is bool or not isinstance(value, bool)), value, _type_name(kind), where
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e308


def _type_name(kind: type) -> str:
    return {str: "a string", int: "an integer", bool: "true or false"}[kind]


def _require(condition: bool, value: Any, expected: str, where: str) -> Any:
    if not condition:
        raise SchemaError(f"{where}: expected {expected}, got {show_value(value)}")
    return value
