"""The `sgpu` command, which finds the verb and imports only what that verb needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from sgpu_lightning.__about__ import __version__
from sgpu_lightning.cli.arguments import with_underscores
from sgpu_lightning.cli.renamed_options import rename_options
from sgpu_lightning.cli.stored_help import stored_help
from sgpu_lightning.cli.verbs import Verb, find_verb, find_verbs
from sgpu_lightning.errors import SGPUError


def usage() -> str:
    """The text of ``sgpu --help``."""
    groups = []
    for heading, verbs in find_verbs().items():
        lines = [f"  {verb.name:10}{verb.summary}" for verb in verbs]
        groups.append("\n".join([f"{heading}:", *lines]))
    return (
        "usage: sgpu VERB [options]\n\n"
        "A calibrated probability that a language or vision-language model's answer is right,\n"
        "computed from the disagreement among its sampled answers.\n\n" + "\n\n".join(groups) + "\n\n"
        "options:\n"
        "  --help     show this text; 'sgpu VERB --help' shows a verb's options\n"
        "  --version  show the version\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb.

    Args:
        argv: Arguments after ``sgpu``; None for the process's own.

    Returns:
        The exit status: 0, 1 for an error in the input, 2 for a wrong call, 130 when interrupted.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if args else 2
    if args[0] in ("-V", "--version"):
        print(f"sgpu {__version__}")
        return 0
    verb = find_verb(args[0])
    if verb is None:
        known = ", ".join(verb.name for verbs in find_verbs().values() for verb in verbs)
        print(f"sgpu: unknown verb '{args[0]}', expected one of {known}", file=sys.stderr)
        return 2
    if (text := stored_help(args)) is not None:
        print(text, end="")
        return 0
    return run_verb(verb, args[1:])


def run_verb(verb: Verb, args: list[str]) -> int:
    """Run a verb and turn errors in its input into one message.

    Args:
        verb: From `find_verb`.
        args: The arguments after it.

    Returns:
        The exit status, see `main`.
    """
    # Waiting threads sleep. OpenMP's default is to spin, which makes small operations much slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import_module(verb.module).run(rename_options(verb.name, with_underscores(args)))
    except BaseException as error:
        if _interrupted(error):
            print(f"sgpu {verb.name}: interrupted", file=sys.stderr)
            return 130
        if not isinstance(error, SGPUError | OSError) or os.environ.get("SGPU_DEBUG"):
            raise
        print(f"sgpu {verb.name}: {error}\n(SGPU_DEBUG=1 shows where)", file=sys.stderr)
        return 1
    return 0


def _interrupted(error: BaseException | None) -> bool:
    """Whether an error is an interrupt or was caused by one.

    Lightning converts an interrupt to an exit with status 1, and code that is interrupted while it writes a file may
    raise another error.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


if __name__ == "__main__":
    sys.exit(main())
