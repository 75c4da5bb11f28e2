"""``compare FILE FILE``."""

from __future__ import annotations

import argparse
from typing import Any

import balance_graph as bg
from balance_graph.cli._answer import DONE, NO, Answer
from balance_graph.cli._options import FORMATS, add_command, add_ignore, add_reading, read_file, weight_name


def add_compare(commands: Any) -> None:
    """The sub-command."""
    text = "tell whether two networks are the same up to scaling, and where they differ"
    command = add_command(commands, "compare", _compare, text)
    command.add_argument("files", metavar="FILE", nargs=2, help=f"networks: {FORMATS}")
    command.add_argument("--tol", type=float, default=1e-9, help="in the logarithm of a weight (default: 1e-9)")
    add_reading(command)
    add_ignore(command)


def _compare(arguments: argparse.Namespace) -> Answer:
    from balance_graph.graph.constraints import without_attributes

    weight = weight_name(arguments)
    files = (read_file(arguments, file) for file in arguments.files)
    one, two = (without_attributes(network, arguments.ignore) for network in files)
    difference = bg.difference(one, two, tol=arguments.tol, weight=weight)
    same = difference is None
    document = {"files": list(arguments.files), "equivalent": same, "tol": arguments.tol, "difference": difference}
    verdict = "equivalent: the same up to scaling" if same else f"not equivalent: {difference}"
    return DONE if same else NO, document, [verdict]
