"""The `sgpu` command: picks the verb, and imports only what that verb needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from sgpu_lightning.__about__ import __version__
from sgpu_lightning.errors import SGPUError

# verb: (module with a `run(args)`, one line of help)
VERBS = {
    "demo": ("use.demo", "the whole way on tiny models trained on the spot, offline"),
    "sample": ("collect.sample", "ask a model: N answers and the greedy one, hidden states recorded"),
    "import": ("collect.import_", "bring your own answers into a store"),
    "merge": ("collect.merge", "make several stores of one model and task into one"),
    "label": ("collect.label", "grade scored answers, and compare with given labels"),
    "embed": ("collect.embed", "black-box vectors: embed a store's answers"),
    "fit": ("learn.lightning", "learn P(correct) from answer sets"),
    "validate": ("learn.lightning", "metrics on the validation sets"),
    "test": ("learn.lightning", "metrics on the test sets"),
    "compare": ("evaluate.compare", "SGPU against every other score, cross-validated"),
    "transfer": ("evaluate.transfer", "fit on some models or data, evaluate on others"),
    "curve": ("evaluate.curve", "how good P(correct) is with few labels, or fewer answers"),
    "predict": ("learn.lightning", "write P(correct) of every answer set as JSON Lines"),
    "select": ("evaluate.select", "the threshold that keeps the error rate of answered questions below a risk"),
    "export": ("use.export", "make a portable predictor of a checkpoint"),
    "score": ("use.score", "P(correct) of answer sets by a portable predictor"),
    "push": ("use.push", "upload a portable predictor to a hub"),
}


def usage() -> str:
    """The text of ``sgpu --help``."""
    verbs = "\n".join(f"  {verb:10}{text}" for verb, (_, text) in VERBS.items())
    return (
        "usage: sgpu VERB [options]\n\n"
        "A calibrated probability that a language or vision-language model's answer is right,\n"
        "from its disagreement with itself.\n\n"
        f"verbs:\n{verbs}\n\n"
        "options:\n  --help     this text; 'sgpu VERB --help' for a verb's options\n  --version  the version\n"
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
    if args[0] not in VERBS:
        print(f"sgpu: unknown verb '{args[0]}', expected one of {', '.join(VERBS)}", file=sys.stderr)
        return 2
    return _run(args)


def _run(args: list[str]) -> int:
    # Waiting threads sleep: spinning, OpenMP's default, makes small operations many times slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        import_module(f"sgpu_lightning.cli.{VERBS[args[0]][0]}").run(args)
    except BaseException as error:
        if _interrupted(error):
            print(f"sgpu {args[0]}: interrupted", file=sys.stderr)
            return 130
        if not isinstance(error, SGPUError | OSError) or os.environ.get("SGPU_DEBUG"):
            raise
        print(f"sgpu {args[0]}: {error}\n(SGPU_DEBUG=1 shows where)", file=sys.stderr)
        return 1
    return 0


def _interrupted(error: BaseException | None) -> bool:
    """Whether it is an interrupt, or came of one: Lightning exits with status 1, a file half written is an error."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


if __name__ == "__main__":
    sys.exit(main())
