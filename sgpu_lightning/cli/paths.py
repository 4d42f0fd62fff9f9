"""Several paths after a verb, as a shell's ``*`` gives them."""

from __future__ import annotations

import json
from collections.abc import Sequence


def join_leading(args: Sequence[str]) -> list[str]:
    """The arguments with the leading plain ones as one JSON list, which is how a list is given to a parser."""
    count = next((i for i, arg in enumerate(args) if arg.startswith("-")), len(args))
    if count == 0 or args[0].startswith("["):
        return list(args)
    return [json.dumps(list(args[:count])), *args[count:]]
