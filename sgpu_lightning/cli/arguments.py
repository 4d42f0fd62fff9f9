"""Conversion of the arguments of a shell call to those that jsonargparse expects."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

_WITHOUT_VALUE = ("--help", "--print_config")
_OPTION = re.compile(r"--[A-Za-z_][\w.-]*\+?(=|$)")  # anything else that begins with dashes is a value


def with_underscores(args: Sequence[str]) -> list[str]:
    """Replace the dashes in option names by underscores: ``--leave-one-out`` becomes ``--leave_one_out``.

    Values, and everything after a bare ``--``, stay unchanged.

    Args:
        args: Options, ``--name value`` or ``--name=value``, and files.
    """
    end = list(args).index("--") if "--" in args else len(args)
    return [*(_underscored(arg) for arg in args[:end]), *args[end:]]


def _underscored(arg: str) -> str:
    if not _OPTION.match(arg):
        return arg
    name, equals, value = arg.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def files_first(args: Sequence[str], option: str | None = None) -> list[str]:
    """Move the files, which may be anywhere between the options, to the beginning, as one JSON list.

    Args:
        args: Options, each with one value or as ``--name=value``, and files.
        option: The option that takes the list as its value; None for a positional argument.
    """
    files: list[str] = []
    rest: list[str] = []
    for before, arg in zip(["", *args], args, strict=False):
        is_value = before.startswith("--") and "=" not in before and before not in _WITHOUT_VALUE
        (rest if is_value or arg.startswith("-") else files).append(arg)
    return [*([option] if option and files else []), *_joined(files), *rest]


def join_lists(args: Sequence[str], options: Sequence[str]) -> list[str]:
    """Join the values that follow each of these options into one JSON list."""
    for i, arg in enumerate(args):
        if arg in options:
            after = args[i + 1 :]
            count = next((j for j, other in enumerate(after) if other.startswith("-")), len(after))
            return [*args[: i + 1], *_joined(after[:count]), *join_lists(after[count:], options)]
    return list(args)


def with_default_value(args: Sequence[str], option: str, choices: Sequence[str], default: str) -> list[str]:
    """Add the default value after an option that is given without one, as in ``--leave_one_out file.jsonl``."""
    at = args.index(option) + 1 if option in args else 0
    alone = at > 0 and args[at : at + 1] not in [[choice] for choice in choices]
    return [*args[:at], default, *args[at:]] if alone else list(args)


def _joined(values: Sequence[str]) -> list[str]:
    """Join several values into one JSON list. No value, or a single value that is already a list, stays unchanged."""
    if not values or (len(values) == 1 and values[0].startswith("[")):
        return list(values)
    return [json.dumps(list(values))]
