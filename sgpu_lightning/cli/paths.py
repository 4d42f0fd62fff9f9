"""Arguments as a shell and its users give them, for a parser that takes a list as one argument."""

from __future__ import annotations

import json
from collections.abc import Sequence


def join_leading(args: Sequence[str]) -> list[str]:
    """The arguments with the leading plain ones, as a shell's ``*`` gives them, as one JSON list."""
    count = _plain(args)
    if count == 0 or args[0].startswith("["):
        return list(args)
    return [json.dumps(list(args[:count])), *args[count:]]


def join_lists(args: Sequence[str], options: Sequence[str]) -> list[str]:
    """The arguments with the plain ones after each of these options as one JSON list."""
    for i, arg in enumerate(args):
        if arg in options:
            return [*args[: i + 1], *_joined_then(args[i + 1 :], options)]
    return list(args)


def _joined_then(args: Sequence[str], options: Sequence[str]) -> list[str]:
    count = _plain(args)
    return [*join_leading(args[:count]), *join_lists(args[count:], options)]


def with_underscores(args: Sequence[str]) -> list[str]:
    """The arguments with ``--leave-one-out`` for ``--leave_one_out``: names of options are those of parameters."""
    return [_name(arg) if arg.startswith("--") else arg for arg in args]


def _name(arg: str) -> str:
    name, equals, value = arg.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _plain(args: Sequence[str]) -> int:
    """How many arguments stand before the next option."""
    return next((i for i, arg in enumerate(args) if arg.startswith("-")), len(args))
