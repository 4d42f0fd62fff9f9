"""Arguments as a shell and its users give them, for a parser that takes a list as one argument."""

from __future__ import annotations

import json
from collections.abc import Sequence

_ALONE = ("--help", "--print_config")  # options without a value


def files_first(args: Sequence[str], option: str | None = None) -> list[str]:
    """The arguments with those that belong to no option first, as one JSON list: files may stand anywhere.

    Args:
        args: Options, each with one value or as ``--name=value``, and files.
        option: What the list is the value of; None where it stands alone.
    """
    files: list[str] = []
    rest: list[str] = []
    for before, arg in zip(["", *args], args, strict=False):
        is_value = before.startswith("--") and "=" not in before and before not in _ALONE
        (rest if is_value or arg.startswith("-") else files).append(arg)
    return [*([option] if option and files else []), *_joined(files), *rest]


def join_lists(args: Sequence[str], options: Sequence[str]) -> list[str]:
    """The arguments with the plain ones after each of these options as one JSON list."""
    for i, arg in enumerate(args):
        if arg in options:
            after = args[i + 1 :]
            count = next((j for j, other in enumerate(after) if other.startswith("-")), len(after))
            return [*args[: i + 1], *_joined(after[:count]), *join_lists(after[count:], options)]
    return list(args)


def with_underscores(args: Sequence[str]) -> list[str]:
    """The arguments with ``--leave_one_out`` for ``--leave-one-out``: names of options are those of parameters."""
    return [_name(arg) if arg.startswith("--") else arg for arg in args]


def _name(arg: str) -> str:
    name, equals, value = arg.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _joined(values: Sequence[str]) -> list[str]:
    """Several values as one JSON list; none, or one that is a list already, as they are."""
    if not values or (len(values) == 1 and values[0].startswith("[")):
        return list(values)
    return [json.dumps(list(values))]
