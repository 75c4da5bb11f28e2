"""What only a terminal gets: a line of progress that erases itself, and colors for verdicts."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from balance_graph._compiled import Announcement

# Verdicts, where they stand: at the start of a line, or in their column of the table of statements.
_GOOD, _BAD = "32", "31"
_VERDICTS = (
    (re.compile(r"^(converged|equivalent|nothing to scale|Same answer|Optimal|Same function)(?=\b)"), _GOOD),
    (re.compile(r"^(not equivalent|stalled|limit reached|inaccurate|The routes do not agree)(?=\b)"), _BAD),
    (re.compile(r"(?<=^attained            )(yes)(?=;)"), _GOOD),
    (re.compile(r"(?<=^attained            )(no)(?=;)"), _BAD),
    (re.compile(r"^(dead node|dead edges?)(?=\b)"), _BAD),
    (re.compile(r"(?<=  )(holds)(?=  )"), _GOOD),
    (re.compile(r"(?<=  )(FAILS|fails)(?=  )"), _BAD),
)
# To the start of the line, and away with what is on it.
_ERASED = "\r\x1b[K"
# Seconds between two updates of the line of progress: as fast as one can read.
_PAUSE = 0.1


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody sees the stream, on a terminal that understands escape sequences."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def colored(text: str, stream: TextIO | None) -> str:
    """The text with its verdicts in color, on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    if not is_terminal(stream) or os.environ.get("NO_COLOR"):
        return text
    return "\n".join(_colored_line(line) for line in text.split("\n"))


def _colored_line(line: str) -> str:
    for pattern, color in _VERDICTS:
        line = pattern.sub(f"\x1b[{color}m\\1\x1b[0m", line, count=1)
    return line


class Ticker:
    """One line on the standard error, written over again and again, and erased in the end."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._next = 0.0

    def say(self, text: str) -> None:
        """Show it, if the last has been there for a while."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _PAUSE
            self._write(f"{self._what}: {text}"[: shutil.get_terminal_size().columns - 1])

    def iteration(self, number: int, log_cost: float, imbalance: float) -> None:
        """As solvers report."""
        self.say(f"iteration {number}, log cost {log_cost:.9g}, imbalance {imbalance:.1e}")

    def stage(self, done: int, total: int, name: str) -> None:
        """As `verify` reports."""
        self._next = 0.0  # stages take long: each is shown
        self.say(f"{done} of {total}, {name}")

    def _write(self, text: str) -> None:
        print(_ERASED + text, end="", file=sys.stderr, flush=True)  # noqa: T201

    def erase(self) -> None:
        """Leave nothing behind."""
        self._write("")


@contextmanager
def ticker(arguments: argparse.Namespace, what: str) -> Iterator[Ticker | None]:
    """A line of progress, or None where nobody sees it or wants it."""
    if arguments.quiet or not is_terminal(sys.stderr):
        yield None
        return
    line = Ticker(what)
    Announcement.before = _ERASED
    try:
        yield line
    finally:
        Announcement.before = ""
        line.erase()
