"""What a command has to say, and saying it: one JSON document or a few lines, or one line of complaint."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from typing import Any

import balance_graph as bg
from balance_graph.cli._terminal import colored

DONE, NO, BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141

Document = dict[str, Any]
# The exit code, the document for machines, the lines for people.
Answer = tuple[int, Document, list[str]]


def print_answer(arguments: argparse.Namespace, document: Document, lines: list[str]) -> None:
    """One document or a few lines, flushed here so that a failure to write is met here."""
    if arguments.json:
        head = {"command": arguments.name, "version": bg.__version__}
        text = json.dumps({**head, **document}, indent=2, allow_nan=False)
    elif arguments.quiet or not lines:
        return
    else:
        # Names of nodes may hold what the terminal cannot show.
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        text = "\n".join(lines).encode(encoding, "backslashreplace").decode(encoding)
    print(text if arguments.json else colored(text, sys.stdout), flush=True)  # noqa: T201


def complain(message: str, code: int, kind: str = "error: ") -> int:
    """One line on the standard error, whatever the message holds."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in message.replace("\n", " "))
    with contextlib.suppress(OSError):
        print(f"balance-graph: {kind}{line}", file=sys.stderr, flush=True)  # noqa: T201
    return code


def forget_output() -> int:
    """The reader is gone: let the interpreter's last flush go nowhere instead of failing."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE
