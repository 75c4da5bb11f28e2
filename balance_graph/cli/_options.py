"""Sub-commands and the options that several of them have."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from balance_graph.cli._answer import BAD_INPUT, DONE, Answer, complain
from balance_graph.cli.keys import key_lines
from balance_graph.errors import BalanceGraphError, InvalidParameterError
from balance_graph.graph.attribute_names import ATTRIBUTES, checked_names

if TYPE_CHECKING:
    import networkx as nx

FORMATS = ".json, .graphml, .csv or .tsv"


class Parser(argparse.ArgumentParser):
    """Errors in one line, the same for all sub-commands."""

    def error(self, message: str) -> NoReturn:
        raise SystemExit(complain(f"{message}; {self.prog} --help tells more", BAD_INPUT))


class _Help(argparse.HelpFormatter):
    """Lines of a table stay as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


def add_command(commands: Any, name: str, run: Callable[[argparse.Namespace], Answer], text: str) -> Any:
    """A sub-command with the options that all have; its help tells the keys of its document."""
    command = commands.add_parser(name, help=text, description=text, epilog=key_lines(name), formatter_class=_Help)
    command.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    command.add_argument("--quiet", action="store_true", help="no text and no progress, only the exit code and files")
    command.set_defaults(command=run, name=name)
    return command


def add_reading(command: Any) -> None:
    """What to take for what in a file, as `balance_graph.read_network` has it."""
    numbered = "in a file without a header the number of its column"
    add = command.add_argument_group("reading files").add_argument
    text = f"edge attribute (in CSV the column) that holds the weight (default: weight); {numbered}"
    add("--weight", default="weight", metavar="NAME", type=_column, help=text)
    add("--source", metavar="NAME", type=_column, help=f"column that an edge comes from (default: source); {numbered}")
    add("--target", metavar="NAME", type=_column, help=f"column that an edge goes to (default: target); {numbered}")
    text = "what separates fields: a character, tab, or ' ' for any blanks (default: what gives all rows as many)"
    add("--delimiter", metavar="CHARACTER", help=text)


def _column(text: str) -> str | int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else text


def add_network(command: Any) -> None:
    """The file of a network, how to read it, and the exponent of the cost."""
    command.add_argument("file", metavar="FILE", help=f"network: {FORMATS}")
    command.add_argument("--p", type=float, default=2.0, help="exponent of the cost |w|^p (default: 2)")
    add_reading(command)


def weight_name(arguments: argparse.Namespace) -> str:
    """The edge attribute that holds the weight."""
    return arguments.weight if isinstance(arguments.weight, str) else "weight"


def read_file(arguments: argparse.Namespace, file: str) -> nx.DiGraph[Any]:
    """The network of a file; what was taken for what is one line on the standard error."""
    from balance_graph.graph.files import read_with_notes

    options = {name: getattr(arguments, name) for name in _READING}
    try:
        network, notes = read_with_notes(file, **options)
    except BalanceGraphError as error:
        raise type(error)(_as_options(str(error))) from error
    if notes and not arguments.quiet:
        complain(_as_options(f"{file}: {notes}"), DONE, kind="note: ")
    return network


_READING = ("weight", "source", "target", "delimiter")
_KEYWORD = re.compile(rf"\b({'|'.join(_READING)})=(\.\.\.)?(?=(\S?))")


def _as_options(message: str) -> str:
    """Keywords of `read_network` as options of the command line."""
    return _KEYWORD.sub(lambda found: f"--{found[1]}" + (" " if found[3] not in ",;" else ""), message)


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
