"""What is wrong with a file or a network, with whom, and on which line; the public functions add the file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NoReturn


class FormatError(Exception):
    """What is wrong, and on which line of the file, where known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line

    def locate(self, owner: str, line: int | None = None) -> None:
        """Put `owner` before the message, on its way up."""
        self.args = (f"{owner}{self}",)
        self.line = self.line or line


def refuse(message: str, line: int | None = None) -> NoReturn:
    """Raise a `FormatError`."""
    raise FormatError(message, line)


@contextlib.contextmanager
def within(*key: Any, line: int | None = None) -> Iterator[None]:
    """A refusal inside is about the owner with that `key` (none: as it says itself), on that line."""
    try:
        yield
    except FormatError as refusal:
        refusal.locate(f"{owner(*key)}: " if key else "", line)
        raise


def owner(*key: Any) -> str:
    """The network (no key), a node (one) or an edge (two), for messages."""
    if not key:
        return "the network"
    return f"node {show(key[0])}" if len(key) == 1 else f"edge {show(key[0])} -> {show(key[1])}"


def show(value: Any) -> str:
    """A value for messages, cut to 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
