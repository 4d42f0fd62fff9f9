"""jsonargparse's parser with errors on one line, and functions that run a Python function as a verb."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from jsonargparse import ArgumentParser, auto_cli

_VERB = r"(?:(?:fit|validate|test|predict)\.)?"
_LONGEST = 500  # largest number of characters of a message
_UNION = re.compile(
    r"(?P<option>--\S+:) (?:Expected a path but .*? invalid )?Does not validate against any of the Union subtypes "
    r"Subtypes: [\[(](?P<types>.*)[\])] Errors: (?P<errors>.*) Given value type: \S+ Given value: (?P<value>.*)$"
)


class OneLineParser(ArgumentParser):
    """A parser that reports a wrong call on one line instead of printing the usage of all options."""

    command = "sgpu"  # used for the unnamed parsers that jsonargparse makes for classes named by options

    @property
    def prog(self) -> str:
        """The command as the user types it; jsonargparse would write ``sgpu [options] fit``."""
        return self._prog

    @prog.setter
    def prog(self, name: str) -> None:
        self._prog = name.replace(" [options]", "")

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the message and exit with status 2.

        Args:
            message: The message of jsonargparse, which may have several lines.
            ex: The exception that caused it, which may hold the parser of a subcommand; None if there is none.
        """
        parser = getattr(ex, "subcommand_parser", None) or self
        command = parser.prog if parser.prog.startswith("sgpu ") else self.command
        print(f"{command}: {one_line(message)} (see {command} --help)", file=sys.stderr)
        self.exit(2)


def one_line(message: str) -> str:
    """Rewrite a message of jsonargparse on one line: the option first, then what was expected and what was got.

    Args:
        message: The message, for example ``Parser key "folds":``, and on the next line ``Expected a <class 'int'>. Got
            value: a``.
    """
    text = re.sub(rf'^Parser key "{_VERB}([\w.]+)":?', r"--\1:", message.strip())
    text = re.sub(rf"required: {_VERB}data\.", "required: --data.", text)
    text = re.sub(r"<class '(?:[\w.]+\.)?(\w+)'>", r"\1", text).replace("NoneType", "null")
    text = re.sub(r"(?:typing\.)?Literal\[(.*?)\]", r"one of \1", text)
    text = re.sub(r"\s*\n\s*(?:- )?", " ", text)
    if union := _UNION.match(text):
        types = union["types"].replace(", null", " or null")
        unknown = " (no known class, and no import path)" if "Expected a dot import path" in union["errors"] else ""
        text = f"{union['option']} expected {types}, got {union['value']}{unknown}"
    text = re.sub(r"Expected (?:an? )?(.*?)\. Got value: ", r"expected \1, got ", text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def run_function(function: Callable[..., None], verb: str, args: Sequence[str]) -> None:
    """Run a function whose parameters are the options of a verb and whose docstring is its help.

    Args:
        function: The function to run.
        verb: The verb as the user types it.
        args: The arguments after it.
    """
    auto_cli(function, args=list(args), prog=f"sgpu {verb}", parser_class=OneLineParser)


def run_commands(commands: Mapping[str, Callable[..., None]], verb: str, args: Sequence[str]) -> None:
    """Run one of several functions, chosen by the first argument; see `run_function`."""
    auto_cli(dict(commands), args=list(args), prog=f"sgpu {verb}", parser_class=OneLineParser)
