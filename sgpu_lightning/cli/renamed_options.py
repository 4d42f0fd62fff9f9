"""Old option names, which every verb accepts with a notice on the command line and in ``--config`` files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sgpu_lightning.errors import SGPUError

_LEARN = ("fit", "validate", "test", "predict")
_MODEL_OPTIONS = {"model.gram": "model.gram_kernel"}

# verb: {old name: new name}; dots separate the nested keys of a configuration file
RENAMED: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(_LEARN, _MODEL_OPTIONS),
    "transfer": {"caution": "prior_strength"},
}

Notice = Callable[[str], None]


def rename_options(verb: str, args: Sequence[str], renamed: Mapping[str, str] | None = None) -> list[str]:
    """Replace old option names by the present ones, and print a notice to standard error.

    Args:
        verb: The verb.
        args: The arguments after it, option names with underscores.
        renamed: Present names by old name; None for those of the verb in `RENAMED`.

    Raises:
        SGPUError: If a configuration file gives an option under both names.
    """
    names = RENAMED.get(verb, {}) if renamed is None else renamed
    if not names:
        return list(args)

    def notice(text: str) -> None:
        print(f"sgpu {verb}: {text}", file=sys.stderr)

    end = list(args).index("--") if "--" in args else len(args)
    found = [_rename_on_command_line(arg, names, notice) for arg in args[:end]]
    return [*_rename_in_config_files(found, names, notice), *args[end:]]


def _rename_on_command_line(arg: str, names: Mapping[str, str], notice: Notice) -> str:
    name, equals, value = arg.partition("=")
    for old, new in names.items():
        if name in (f"--{old}", f"--{old}+"):
            notice(f"--{old} is deprecated, use --{new}")
            return f"--{new}{name.removeprefix(f'--{old}')}{equals}{value}"
    return arg


def _rename_in_config_files(args: list[str], names: Mapping[str, str], notice: Notice) -> list[str]:
    """Replace ``--config FILE`` by the file's content if it holds an old name."""
    for i, where, given in _config_files(args):
        content = _read(given)
        if content is None or not any(_holds(content, old) for old in names):
            continue
        lines: list[str] = []
        text = json.dumps(rename_keys(content, names, lines.append))
        shown = given if len(given) <= 60 else f"{given[:57]}..."
        for line in lines:
            notice(f"{shown}: {line}")
        args[i] = text if where == "value" else f"--config={text}"
    return args


def _config_files(args: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Yield each configuration's position, whether it is a separate ``value`` or ``joined``, and its file or text."""
    for i, arg in enumerate(args):
        if arg.startswith("--config="):
            yield i, "joined", arg.partition("=")[2]
        elif i > 0 and args[i - 1] in ("--config", "-c"):
            yield i, "value", arg


def _read(given: str) -> dict[str, Any] | None:
    """Read a configuration; None if it cannot be read or is not a mapping, which the parser then reports."""
    import yaml

    try:
        text = given if given.lstrip().startswith("{") else Path(given).read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return content if isinstance(content, dict) else None


def rename_keys(content: Mapping[str, Any], names: Mapping[str, str], notice: Notice | None = None) -> dict[str, Any]:
    """Replace old keys of a configuration by the present names.

    Args:
        content: Nested mappings, as in a configuration file; it is not changed.
        names: Present names by old name; both are nested in the same mapping.
        notice: Called with a line for each renamed key; None for no notice.

    Raises:
        SGPUError: If a key is given under both names.
    """
    changed = dict(content)
    for old, new in names.items():
        if not _holds(changed, old):
            continue
        *parents, key = old.split(".")
        inner = changed
        for parent in parents:
            inner[parent] = dict(inner[parent])
            inner = inner[parent]
        present = new.rpartition(".")[2]
        if present in inner:
            raise SGPUError(f"--config: '{old}' is the old name of '{new}': expected one of them, got both")
        inner[present] = inner.pop(key)
        if notice is not None:
            notice(f"'{old}' is deprecated, use '{new}'")
    return changed


def _holds(content: Any, name: str) -> bool:
    for key in name.split("."):
        if not isinstance(content, dict) or key not in content:
            return False
        content = content[key]
    return True
