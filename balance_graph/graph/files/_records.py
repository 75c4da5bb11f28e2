"""A text as rows of fields: delimiters, quotes, comments and the numbers of lines.

By hand, since Python's csv module does not tell quoted fields from others, and a name in quotes is text.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import NamedTuple

from balance_graph.graph.files._refusal import refuse
from balance_graph.graph.files._request import BLANKS

MARKS = "#%"
_END = re.compile(r"\r\n|\n|\r")
_RUN = re.compile(r"[ \t]*")
_COMMENT = re.compile(rf"[{MARKS}](?:[{MARKS}\s]|\Z)")


class Quoted(str):
    """The text of a field that stood in quotes."""

    __slots__ = ()


class Record(NamedTuple):
    """A row, and whether it is a comment: True or False, None where it may be a row whose first field begins so."""

    line: int
    fields: list[str]
    comment: bool | None


def records(text: str, delimiter: str) -> Iterator[Record]:
    """The rows that are not empty."""
    field = _field(delimiter)
    at, line = 0, 1
    while at < len(text):
        end = _END.search(text, at)
        stop = end.start() if end else len(text)
        row = text[at:stop].strip()
        comment = _comment(row)
        if comment:
            fields = [row]
        elif '"' in row:
            fields, stop = _quoted_row(text, at, delimiter, field, line)
        else:
            fields = _RUN_SPLIT.split(row) if delimiter == BLANKS else _stripped(text[at:stop].split(delimiter))
        if any(fields):
            _check_size(fields, stop - at, line)
            yield Record(line, fields, comment)
        end = _END.match(text, stop)
        line += len(_END.findall(text, at, stop)) + 1
        at = end.end() if end else len(text)


_RUN_SPLIT = re.compile(r"[ \t]+")


def _comment(row: str) -> bool | None:
    if not row.startswith(tuple(MARKS)):
        return False
    return True if _COMMENT.match(row) else None


def _stripped(fields: list[str]) -> list[str]:
    return [field.strip() for field in fields]


def _field(delimiter: str) -> re.Pattern[str]:
    """A field up to its delimiter; possessive, so that matching takes time linear in the text."""
    stop = " \t" if delimiter == BLANKS else re.escape(delimiter)
    blank = "[ ]" if delimiter == "\t" else "[ \t]"
    return re.compile(
        rf'{blank}*+(?:"((?:[^"]++|"")*+)"{"" if delimiter == BLANKS else f"{blank}*+"}|(?!")([^{stop}\r\n]*+))'
        rf"(?=[{stop}\r\n]|\Z)"
    )


def _quoted_row(text: str, at: int, delimiter: str, field: re.Pattern[str], line: int) -> tuple[list[str], int]:
    """The fields of a row some of which are in quotes, and where it ends."""
    fields: list[str] = []
    while True:
        match = field.match(text, at)
        if match is None:
            refuse("not valid CSV: a quote is not closed, or text stands behind a closing quote", line)
        quoted, plain = match.groups()
        fields.append(plain.strip() if quoted is None else Quoted(quoted.replace('""', '"').strip()))
        at = match.end()
        if delimiter == BLANKS:
            at = _RUN.match(text, at).end()  # type: ignore[union-attr]  # matches everywhere
        if at == len(text) or text[at] in "\r\n":
            return fields, at
        at += delimiter != BLANKS


def _check_size(fields: list[str], size: int, line: int) -> None:
    limit = csv.field_size_limit()
    if size > limit and max(map(len, fields)) > limit:
        refuse(f"not valid CSV: field larger than {limit} characters", line)
