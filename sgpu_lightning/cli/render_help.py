"""Renders the help texts that `stored_help` prints: ``python -m sgpu_lightning.cli.render_help``.

Run it whenever a verb, an option or a docstring that is shown as help changes. With ``--check`` nothing is written;
the exit status is 1 if a stored text differs from what the verb's own parser prints.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from sgpu_lightning.cli.main import run_verb
from sgpu_lightning.cli.stored_help import FOLDER, VERSIONS, installed_versions, text_path
from sgpu_lightning.cli.verbs import find_verb, find_verbs

COMMAND = "python -m sgpu_lightning.cli.render_help"
WIDTH = 110  # columns of the stored texts
_CHILD = "import sys; from sgpu_lightning.cli.render_help import print_texts; print_texts(sys.argv[1:])"

Call = tuple[str, ...]  # a verb, or a verb and one of its commands


def help_calls() -> list[list[Call]]:
    """List the calls with a help text, by group: each verb, and each command of a verb (its module's ``COMMANDS``)."""
    groups = []
    for verbs in find_verbs().values():
        calls: list[Call] = []
        for verb in verbs:
            below = () if "COMMANDS" not in verb.path.read_text() else import_module(verb.module).COMMANDS
            calls += [(verb.name,), *((verb.name, command) for command in below)]
        groups.append(calls)
    return groups


def real_help(call: Call) -> str:
    """Return what the parser of a verb prints for ``--help``.

    Raises:
        RuntimeError: If the verb prints no help; the message holds what it printed.
    """
    verb, *rest = call
    found = find_verb(verb)
    assert found is not None
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        run_verb(found, [*rest, "--help"])
    if not text.getvalue().startswith(f"usage: sgpu {verb}"):
        raise RuntimeError(f"'sgpu {' '.join(call)} --help' prints no help, but: {text.getvalue()}")
    return text.getvalue()


def print_texts(calls: Sequence[str]) -> None:
    """Print the help texts of these calls as JSON; it runs in a separate process, see `render`."""
    print(json.dumps({call: real_help(tuple(call.split())) for call in calls}))


def render() -> dict[Path, str]:
    """Render all help texts, by the file that each belongs in, and the versions that they were rendered with.

    Each group of verbs is rendered in a separate process, because a help text lists the classes of all modules that are
    imported at that time.

    Raises:
        RuntimeError: If a verb prints no help.
    """
    texts: dict[Path, str] = {}
    environment = {**os.environ, "COLUMNS": str(WIDTH), "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    for group in help_calls():
        command = [sys.executable, "-c", _CHILD, *(" ".join(call) for call in group)]
        result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if result.returncode:
            raise RuntimeError(f"the help of {', '.join(map(' '.join, group))} cannot be rendered:\n{result.stderr}")
        texts |= {text_path(call.split()): text for call, text in json.loads(result.stdout).items()}
    # argparse wraps lines differently in other versions of Python; the texts then stay valid, but are not equal.
    versions = {"libraries": installed_versions(), "python": ".".join(platform.python_version_tuple()[:2])}
    return {**texts, VERSIONS: json.dumps(versions, indent=1) + "\n"}


def differences(rendered: dict[Path, str]) -> list[str]:
    """Describe each stored file that differs from the rendered one, is missing, or belongs to no verb, one a line."""
    stored = {path: path.read_text(encoding="utf-8") for path in FOLDER.glob("*")}
    missing = [f"{path.name}: missing" for path in rendered if path not in stored]
    stale = [f"{path.name}: differs" for path in rendered if path in stored and stored[path] != rendered[path]]
    return [*missing, *stale, *(f"{path.name}: belongs to no verb" for path in stored if path not in rendered)]


def main(args: list[str]) -> int:
    """Write the texts, or compare them with the stored ones."""
    rendered = render()
    found = differences(rendered)
    if args == ["--check"]:
        advice = [f"render the help texts again with: {COMMAND}"] if found else ["the help is up to date"]
        print("\n".join([*found, *advice]))
        return int(bool(found))
    FOLDER.mkdir(exist_ok=True)
    for path in set(FOLDER.glob("*")) - set(rendered):
        path.unlink()
    for path, text in rendered.items():
        path.write_text(text, encoding="utf-8")
    print(f"{len(rendered) - 1} help texts are in {FOLDER}; {len(found)} files changed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
