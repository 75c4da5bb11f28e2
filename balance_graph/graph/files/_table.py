"""The rows of an edge list: its delimiter, its comments, and whether its first row is a header."""

from __future__ import annotations

import contextlib
import itertools
import re
from typing import NamedTuple

from balance_graph.graph.files._records import Quoted, Record, records
from balance_graph.graph.files._refusal import FormatError, refuse, show
from balance_graph.graph.files._request import BLANKS, Request
from balance_graph.graph.files._spelling import INTEGER, NUMBER

# What the two ends of an edge are called, in any case; the first pair that is there counts.
ENDS = [("source", "target"), ("from", "to"), ("tail", "head"), ("src", "dst"), ("pre", "post")]
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", BLANKS: "blanks"}
_SAMPLE = 50
_EXCEL = re.compile(r'\A"?sep=(.)"?(?=\r|\n)')
DECIMAL = re.compile(r"[+-]?[0-9]+,[0-9]+(?:[eE][+-]?[0-9]+)?\Z", re.ASCII)
_BESIDE_DIGITS = re.compile(r"(?<![0-9]),|,(?![0-9])")


class Table(NamedTuple):
    """The names of the columns, None without a header; the rows, and how their fields are separated."""

    names: list[str] | None
    line: int
    rows: list[Record]
    delimiter: str

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.names or self.rows[0].fields)


def read_table(text: str, request: Request, usual: str, notes: list[str]) -> Table:
    """The table of a text; `usual` is the delimiter of which nobody need be told."""
    hint = _EXCEL.match(text)
    if hint:
        text = " " * hint.end() + text[hint.end() :]
    delimiter = request.delimiter or (hint[1] if hint else _find_delimiter(text, request, usual))
    if delimiter not in (usual, request.delimiter):
        notes.append(f"fields are separated by {_DELIMITERS.get(delimiter, show(delimiter))}")
    rows = _without_empty_end(_without_comments(list(records(text, delimiter)), notes))
    first = rows[0]
    if not _has_header(rows, delimiter, request):
        return Table(None, first.line, rows, delimiter)
    names = [str(name) for name in first.fields]
    if _has_row_names(rows):
        names.insert(0, "")
    return Table(names, first.line, rows[1:], delimiter)


def _without_comments(found: list[Record], notes: list[str]) -> list[Record]:
    rows = [record for record in found if record.comment is False]
    if not rows:
        refuse("no rows: every line begins with # or %, which marks comments; put names that begin so in quotes")
    comments = [record for record in found if record.comment is not False]
    if comments and comments[0].fields[0].startswith("%%MatrixMarket"):
        refuse("this is a matrix in Matrix Market format; scipy.io.mmread reads it", comments[0].line)
    for record in comments:
        if record.comment is None and len(record.fields) == len(rows[-1].fields):
            mark = record.fields[0][0]
            refuse(
                f"begins with {mark!r}: a comment, or the name of a node? "
                "Put a blank behind the mark, or the name in quotes",
                record.line,
            )
    if comments:
        lines = f"line {comments[0].line}" + (f" and {len(comments) - 1} more" if len(comments) > 1 else "")
        notes.append(f"comments are skipped ({lines})")
    return rows


def _without_empty_end(rows: list[Record]) -> list[Record]:
    """The rows without last columns that have no name and no field: delimiters at the ends of lines."""
    width = max(len(row.fields) for row in rows)
    empty = width
    while empty > 1 and all(
        row.fields[empty - 1] == "" if len(row.fields) >= empty else row is rows[0] for row in rows
    ):
        empty -= 1
    return rows if empty == width else [row._replace(fields=row.fields[:empty]) for row in rows]


# ---- delimiter -----------------------------------------------------------------------------------------------------


def _find_delimiter(text: str, request: Request, usual: str) -> str:
    samples = {delimiter: _sample(text, delimiter) for delimiter in dict.fromkeys([usual, *_DELIMITERS])}
    for delimiter, sample in samples.items():
        if sample and known_ends(sample[0], request):
            return delimiter
    even = [delimiter for delimiter, rows in samples.items() if _is_even(rows)]
    if "," in even and len(even) > 1 and not any(_BESIDE_DIGITS.search(",".join(row)) for row in samples[","]):
        even.remove(",")  # every comma stands between digits
    if len(even) > 1 and BLANKS in even:
        even.remove(BLANKS)  # names may have blanks
    if len(even) == 1:
        return even[0]
    if even:
        refuse(f"fields may be separated by {' or '.join(_DELIMITERS[one] for one in even)}; say it: delimiter=...", 1)
    rows = [row for row in itertools.islice(records(text, usual), _SAMPLE) if row.comment is False]
    if rows:
        found = no_column("source", request, rows[0].fields)
        reader = "networkx.read_adjlist reads adjacency lists"
        refuse(f"{found}, and no delimiter gives all rows as many fields; {reader}", rows[0].line)
    return usual  # nothing but comments, which is said later


def _sample(text: str, delimiter: str) -> list[list[str]]:
    """The first rows; one without fields at the end where the text is not valid with this delimiter."""
    rows: list[list[str]] = []
    with contextlib.suppress(FormatError):
        for row in records(text, delimiter):
            if len(rows) == _SAMPLE:
                return rows
            if row.comment is False:
                rows.append(row.fields)
        return rows
    return [*rows, []]


def _is_even(rows: list[list[str]]) -> bool:
    """Whether all rows have as many fields, two or more; a header may have one less."""
    widths = {len(row) for row in rows[1:]} or {len(row) for row in rows[:1]}
    first = len(rows[0]) if rows else 0
    return len(widths) == 1 and first >= 2 and widths <= {first, first + 1}


# ---- header --------------------------------------------------------------------------------------------------------


def known_ends(names: list[str], request: Request) -> tuple[str, str] | None:
    """The columns of sources and targets, if names tell them."""
    by_case: dict[str, list[str]] = {}
    for name in names:
        by_case.setdefault(name.casefold(), []).append(name)

    def column(name: str) -> str | None:
        if name in names:
            return name
        found = by_case.get(name.casefold(), [])
        return found[0] if len(found) == 1 else None

    given = Request() if request.numbers else request
    for source, target in ENDS:
        pair = (column(given.source or source), column(given.target or target))
        if pair[0] is not None and pair[1] is not None:
            return pair[0], pair[1]
    return None


def no_column(name: str, request: Request, names: list[str]) -> str:
    """What a header should be, and is."""
    wanted = [request.source or "source", request.target or "target", request.attribute]
    found = show(list(map(str, names)))
    return f"no column {show(name)}; the first line must be {','.join(map(str, wanted))}, it has {found}"


def is_numeric(text: str, delimiter: str) -> bool:
    """Whether it is a number, maybe with a decimal comma."""
    return bool(NUMBER.match(text) or (delimiter != "," and DECIMAL.match(text)))


def _has_header(rows: list[Record], delimiter: str, request: Request) -> bool:
    first = rows[0].fields
    known = known_ends(first, request)
    if request.numbers:
        if known:
            refuse(
                f"the first line is a header; name its columns: source={known[0]!r}, target={known[1]!r}", rows[0].line
            )
        return False
    if known or first[0] == "" or request.source or request.target:
        return True
    _check_edge_list(rows)
    if any(is_numeric(field, delimiter) for field in first):
        _check_no_matrix(rows)
        if len(first) > 2 and first == [str(k) for k in range(len(first))]:
            names = "source=1, target=2, weight=3"
            refuse(f"{','.join(first)}: names of columns, or an edge? Remove the line, or say {names}", rows[0].line)
        return False
    later = {field for row in rows[1:] for field in row.fields[:2]}
    if len(first) == 2 and set(first) <= later:
        return False
    if len(first) == 2 and not any(NUMBER.match(field) for row in rows[1:] for field in row.fields):
        refuse(
            f"{show(list(map(str, first)))}: the names of columns, or an edge? Say source={str(first[0])!r}, "
            f"target={str(first[1])!r}, or source=1, target=2 if there is no header",
            rows[0].line,
        )
    return True


def _check_edge_list(rows: list[Record]) -> None:
    first = rows[0].fields
    if len(first) > 2 and first[2].startswith("{"):
        refuse(
            "attributes as a Python dict, as networkx.write_edgelist writes them; read it with "
            "networkx.read_edgelist(path, create_using=networkx.DiGraph)",
            rows[0].line,
        )


def _check_no_matrix(rows: list[Record]) -> None:
    size = len(rows[0].fields)
    if size > 3 and len(rows) == size and all(NUMBER.match(field) for row in rows for field in row.fields):
        refuse(
            f"{size} rows of {size} numbers: a matrix? networkx.from_numpy_array(numpy.loadtxt(path, delimiter=...), "
            "create_using=networkx.DiGraph) reads it; if it lists edges, say source=1, target=2, weight=3",
            rows[0].line,
        )


def _has_row_names(rows: list[Record]) -> bool:
    """Whether R numbered the rows, which have one field more than the header."""
    if len(rows) < 2 or any(len(row.fields) != len(rows[0].fields) + 1 for row in rows[1:]):
        return False
    numbers = [row.fields[0] for row in rows[1:]]
    return all(len(number) < 19 and INTEGER.match(number) for number in numbers) and all(
        int(a) < int(b) for a, b in itertools.pairwise(numbers)
    )


def all_quoted(row: list[str]) -> bool:
    """Whether quotes say nothing: every field has them."""
    return all(isinstance(field, Quoted) for field in row)
