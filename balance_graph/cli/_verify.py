"""``verify [FILE]``."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import balance_graph as bg
from balance_graph.cli._answer import DONE, NO, Answer
from balance_graph.cli._options import (
    FORMATS,
    add_command,
    add_ignore,
    add_reading,
    read_file,
    weight_name,
)
from balance_graph.cli._output import check_folder
from balance_graph.cli._terminal import ticker


def add_verify(commands: Any) -> None:
    """The sub-command."""
    text = "examine the statements of the theory, on networks of many kinds or on one of yours"
    command = add_command(commands, "verify", _verify, text)
    command.add_argument("file", metavar="FILE", nargs="?", help=f"network: {FORMATS} (default: the gallery)")
    command.add_argument("--p", type=float, default=2.0, help="exponent of the cost |w|^p (default: 2)")
    command.add_argument("--rng", type=int, default=0, help="seed of networks, scalings and data (default: 0)")
    numbers = "numbers of the statements to examine, such as 4,10-14 (default: all)"
    command.add_argument("--statements", type=_numbers, metavar="NUMBERS", help=numbers)
    command.add_argument("--html", metavar="FILE", help="write the report as a page")
    add_reading(command)
    add_ignore(command)


def _numbers(text: str) -> list[int]:
    """Numbers with commas between, and ranges of them."""
    numbers: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part, flags=re.ASCII)
        if found is None:
            message = f"numbers and ranges of them are meant, such as 4,10-14; got {text!r}"
            raise argparse.ArgumentTypeError(message)
        numbers += range(int(found[1]), min(int(found[2] or found[1]), 10**4) + 1)
    return numbers


def _verify(arguments: argparse.Namespace) -> Answer:
    from balance_graph.graph.constraints import without_attributes

    weight, page = weight_name(arguments), Path(arguments.html) if arguments.html else None
    if page:
        check_folder(page)
    network = None if arguments.file is None else read_file(arguments, arguments.file)
    if network is not None:
        network = without_attributes(network, arguments.ignore)
    with ticker(arguments, "verifying") as line:
        report = bg.verify(
            network,
            regularizer=arguments.p,
            statements=arguments.statements,
            rng=arguments.rng,
            weight=weight,
            progress=line.stage if line else False,
        )
    lines = [report.table()]
    if page:
        report.to_html(page)
        lines.append(f"written {page}")
    document = {"file": arguments.file, "p": arguments.p, "rng": arguments.rng, **report.to_dict()}
    return DONE if report.holds else NO, {**document, "html": arguments.html}, lines
