"""Renders the help texts that `stored_help` prints: ``python -m sgpu_lightning.cli.render_help``.

Run it whenever a verb, an option or a docstring that is shown as help changes. With ``--check`` nothing is written;
the exit status is 1 if a stored text differs from what the verb's own parser prints.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

from sgpu_lightning.cli.stored_help import FOLDER, VERSIONS, installed_versions, text_path
from sgpu_lightning.cli.verbs import find_verbs

COMMAND = "python -m sgpu_lightning.cli.render_help"
WIDTH = 110  # columns of the stored texts
# The real parser in a process of its own: what a help text lists can depend on the modules imported before.
_REAL_HELP = (
    "import sys; from sgpu_lightning.cli.main import run_verb; from sgpu_lightning.cli.verbs import find_verb; "
    "verb, *rest = sys.argv[1:]; sys.exit(run_verb(find_verb(verb), [*rest, '--help']))"
)


def help_calls() -> list[tuple[str, ...]]:
    """What has a help text: each verb, and each command below a verb that has some (its module's ``COMMANDS``)."""
    calls: list[tuple[str, ...]] = []
    for verb in (verb for verbs in find_verbs().values() for verb in verbs):
        below = () if "COMMANDS" not in verb.path.read_text() else import_module(verb.module).COMMANDS
        calls += [(verb.name,), *((verb.name, command) for command in below)]
    return calls


def real_help(call: tuple[str, ...]) -> str:
    """What the real parser of a verb prints for ``--help``.

    Raises:
        RuntimeError: If the verb breaks, with what it printed.
    """
    environment = {**os.environ, "COLUMNS": str(WIDTH), "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-c", _REAL_HELP, *call]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if result.returncode or not result.stdout.startswith("usage: "):
        raise RuntimeError(f"'sgpu {' '.join(call)} --help' failed:\n{result.stdout}{result.stderr}")
    return result.stdout


def render(workers: int | None = None) -> dict[Path, str]:
    """All help texts by the file they belong in, and the versions that they were rendered with."""
    calls = help_calls()
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        texts = dict(zip(map(text_path, calls), pool.map(real_help, calls), strict=True))
    # argparse wraps lines differently in other versions of Python: the texts stay valid, but are not equal.
    versions = {"libraries": installed_versions(), "python": ".".join(platform.python_version_tuple()[:2])}
    return {**texts, VERSIONS: json.dumps(versions, indent=1) + "\n"}


def differences(rendered: dict[Path, str]) -> list[str]:
    """A line for each stored file that differs from the rendered ones, is missing, or belongs to no verb."""
    stored = {path: path.read_text(encoding="utf-8") for path in FOLDER.glob("*")}
    missing = [f"{path.name}: not there" for path in rendered if path not in stored]
    stale = [f"{path.name}: differs" for path in rendered if path in stored and stored[path] != rendered[path]]
    return [*missing, *stale, *(f"{path.name}: of no verb" for path in stored if path not in rendered)]


def main(args: list[str]) -> int:
    """Write the texts, or compare them with those stored."""
    rendered = render()
    found = differences(rendered)
    if args == ["--check"]:
        print("\n".join([*found, f"write the help texts anew with: {COMMAND}"]) if found else "the help is up to date")
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
