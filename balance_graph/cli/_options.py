"""Sub-commands and the options that several of them have."""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from balance_graph.cli._answer import BAD_INPUT, Answer, complain
from balance_graph.errors import InvalidParameterError
from balance_graph.graph.constraints import ATTRIBUTES, checked_names

FORMATS = ".json, .graphml or .csv"


class Parser(argparse.ArgumentParser):
    """Errors in one line, the same for all sub-commands."""

    def error(self, message: str) -> NoReturn:
        raise SystemExit(complain(f"{message}; {self.prog} --help tells more", BAD_INPUT))


def add_command(commands: Any, name: str, run: Callable[[argparse.Namespace], Answer], text: str, keys: str) -> Any:
    """A sub-command with the options that all have; `keys` are those of its document."""
    command = commands.add_parser(
        name, help=text, description=text, epilog=f"keys of --json: {keys}; null is a number that is not finite"
    )
    command.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    command.add_argument("--quiet", action="store_true", help="no text and no progress, only the exit code and files")
    command.set_defaults(command=run, name=name)
    return command


def add_weight(command: Any) -> None:
    """``--weight``."""
    text = "edge attribute (in CSV the column) that holds the weight (default: weight)"
    command.add_argument("--weight", default="weight", metavar="NAME", help=text)


def add_network(command: Any) -> None:
    """The file of a network, its weight, and the exponent of the cost."""
    command.add_argument("file", metavar="FILE", help=f"network: {FORMATS}")
    command.add_argument("--p", type=float, default=2.0, help="exponent of the cost |w|^p (default: 2)")
    add_weight(command)


def add_ignore(command: Any) -> None:
    """``--ignore``."""
    text = f"attributes to read as if they were not there, with commas between: {', '.join(ATTRIBUTES)}"
    command.add_argument("--ignore", default=(), type=_names, metavar="NAMES", help=text)


def _names(text: str) -> tuple[str, ...]:
    try:
        return checked_names([name.strip() for name in text.split(",") if name.strip()])
    except InvalidParameterError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def as_options(text: str) -> str:
    """Keywords of `balance` in a text, as options of the command line."""
    text = re.sub(r"ignore=\[(.*?)\]( of balance)?", lambda found: "--ignore " + re.sub("[' ]", "", found[1]), text)
    return text.replace("on_unattained='prune'", "--on-unattained prune")


def wants_progress(arguments: argparse.Namespace) -> bool:
    """Whether to show a bar: on a terminal, unless told to be quiet."""
    return not arguments.quiet and sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None
