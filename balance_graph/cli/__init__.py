"""The command line, ``balance-graph`` or ``python -m balance_graph``.

Sub-commands: ``demo``, ``balance FILE``, ``inspect FILE``, ``compare FILE FILE``, ``verify [FILE]``, ``model FILE``
(a neural network in ONNX), ``warmup``. A network file is node-link JSON, GraphML or an edge list as CSV or TSV
(`balance_graph.read_network`); ``--source``, ``--target``, ``--weight`` and ``--delimiter`` are its options. What was
taken for what without them is one line on the standard error that starts with ``balance-graph: note:``, unless
``--quiet``.

On a terminal, progress is one line on the standard error that erases itself, and verdicts are in color unless NO_COLOR
is set. With argcomplete (the extra ``completion``) a shell completes commands, options and files.

Exit codes: 0 done; 1 the answer is no (not attained, not balanced to the tolerance, not equivalent, the demo's routes
disagree, a statement of the theory fails, a model's outputs would change); 2 bad input, with one line on the standard
error that starts with ``balance-graph: error:``; 130 interrupted; 141 the reader of the output went away.

``--json`` prints one JSON document, and nothing else, on the standard output, also where the exit code is 1 (on 2 it
prints none). A node is written as in node-link JSON: text, a number, a bool, or a list for a tuple. A number that is
not finite (a cost or scale beyond the range of floats) is ``null``; its logarithm beside it is not. Every document has
``command`` and ``version``; the help of each command tells its further keys, with their meaning
(`balance_graph.cli.keys`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

import balance_graph as bg
from balance_graph._compiled import Announcement
from balance_graph.cli._answer import BAD_INPUT, DONE, INTERRUPTED, complain, forget_output, print_answer
from balance_graph.cli._balance import add_balance
from balance_graph.cli._compare import add_compare
from balance_graph.cli._demo import add_demo
from balance_graph.cli._inspect import add_inspect
from balance_graph.cli._model import add_model
from balance_graph.cli._options import Parser, as_options
from balance_graph.cli._verify import add_verify
from balance_graph.cli._warmup import add_warmup
from balance_graph.errors import BalanceGraphError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        See the documentation of the module.

    Examples
    --------
    >>> from balance_graph.cli import main
    >>> main(["--version"])
    balance-graph 0.1.0
    0
    """
    parser = _parser()
    if "_ARGCOMPLETE" in os.environ:  # set by a shell that asks what could come next
        _complete(parser)
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as leaving:  # argparse leaves by itself after --help, --version and errors
        return int(leaving.code or DONE)
    if arguments.quiet:
        Announcement.is_due = False
    try:
        code, document, lines = arguments.command(arguments)
        print_answer(arguments, document, lines)
    except BrokenPipeError:
        return forget_output()
    except KeyboardInterrupt:
        return complain("interrupted", INTERRUPTED, kind="")
    except MemoryError:
        return complain("not enough memory for this network", BAD_INPUT)
    except (BalanceGraphError, OSError) as error:
        return complain(as_options(str(error)), BAD_INPUT)
    return int(code)


def _complete(parser: Parser) -> None:
    """Tell the shell what could come next, and leave; without argcomplete there is nothing to tell."""
    with contextlib.suppress(ImportError):
        import argcomplete

        argcomplete.autocomplete(parser)


def _parser() -> Parser:
    parser = Parser(
        prog="balance-graph",
        description="Balance weighted networks: the unique balanced state, certified.",
        epilog="exit codes: 0 done, 1 the answer is no, 2 bad input, 130 interrupted",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"balance-graph {bg.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    for add in (add_demo, add_balance, add_inspect, add_compare, add_verify, add_model, add_warmup):
        add(commands)
    return parser
