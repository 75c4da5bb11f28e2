"""Which column of an edge list is which."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from balance_graph.graph.files._refusal import refuse, show
from balance_graph.graph.files._request import Request, is_number
from balance_graph.graph.files._table import DECIMAL, ENDS, Table, is_numeric, known_ends, no_column

_NO_WEIGHTS = {"id", "label", "type", "timeset", "interval", "index"}  # columns of Gephi, and of rows
_UNNAMED = re.compile(r"(?:Unnamed: 0)?\Z")
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}\Z", re.ASCII)


class Columns(NamedTuple):
    """Where source, target and weight are (None: all weights are 1), and the names of all further columns."""

    source: int
    target: int
    weight: int | None
    further: dict[int, str]


def find_columns(table: Table, request: Request, notes: list[str]) -> Columns:
    """The columns of a table; notes say what was taken for what, where neither its names nor the caller do."""
    if table.names is None:
        return _numbered(table, request, notes)
    return _named(table, table.names, request, notes)


# ---- without a header ----------------------------------------------------------------------------------------------


def _numbered(table: Table, request: Request, notes: list[str]) -> Columns:
    width = table.width
    if not request.numbers:
        if request.weight != "weight":
            refuse(f"no column {show(request.weight)}: the first line is no header; give numbers: weight=3", table.line)
        if width > 3 and _counts_rows(table):
            numbers = "source=2, target=3, weight=4, or source=1, target=2, weight=3"
            refuse(f"the first of {width} columns counts the rows: is it the source? Say {numbers}", table.line)
    source, target = (request.source, request.target) if request.numbers else (1, 2)
    left = [number for number in range(1, width + 1) if number not in (source, target)]
    weight = request.weight if is_number(request.weight) else next(iter(left), None)
    for number in (source, target, weight):
        if number is not None and number > width:
            refuse(f"no column {number}; the line has {width} fields", table.line)
    if weight is not None and not is_number(request.weight):
        _check_first_weight(table, weight)
    if not (request.numbers and (is_number(request.weight) or weight is None)):
        notes.append(_without_header(source, target, weight))
    if weight is None:
        notes.append("no column of weights, all are 1")
    further = {number - 1: f"column{number}" for number in left if number != weight}
    return Columns(source - 1, target - 1, None if weight is None else weight - 1, further)


def _without_header(source: int, target: int, weight: int | None) -> str:
    if weight is None:
        return f"no header, columns {source} and {target} are taken for source and target"
    return f"no header, columns {source}, {target}, {weight} are taken for source, target, weight"


def _counts_rows(table: Table) -> bool:
    first = [row.fields[0] for row in table.rows]
    return len(first) > 2 and any(first == [str(k + start) for k in range(len(first))] for start in (0, 1))


def _check_first_weight(table: Table, weight: int) -> None:
    value = table.rows[0].fields[weight - 1]
    if not is_numeric(value, table.delimiter):
        refuse(
            f"field {weight} is {show(str(value))}, no weight; there is no header, so give the numbers of the columns "
            "with source=, target=, weight=",
            table.line,
        )


# ---- with a header -------------------------------------------------------------------------------------------------


def _named(table: Table, names: list[str], request: Request, notes: list[str]) -> Columns:
    index = bool(_UNNAMED.match(names[0]))
    used = dict(enumerate(names))
    if index:
        del used[0]
    if len(set(used.values())) != len(used) or "" in used.values():
        refuse(f"columns need distinct names, got {show(names)}", table.line)
    ends = known_ends(list(used.values()), request)
    if ends is None:
        _refuse_ends(table, names, request)
    if index:
        notes.append("the first column has no name and is left out, as numbers of rows")
    weight = _weight(table, used, ends, request)
    _say_taken(ends, weight, request, notes)
    places = {name: place for place, name in used.items()}
    further = {place: name for place, name in used.items() if name not in (*ends, weight)}
    return Columns(places[ends[0]], places[ends[1]], None if weight is None else places[weight], further)


def _refuse_ends(table: Table, names: list[str], request: Request) -> NoReturn:
    if names[1:] == [row.fields[0] for row in table.rows]:
        refuse(
            "rows and columns have the same names: a matrix; networkx.from_pandas_adjacency(pandas.read_csv(path, "
            "index_col=0), create_using=networkx.DiGraph) reads it",
            table.line,
        )
    wanted = (request.source or "source", request.target or "target")
    missing = next((name for name in wanted if name not in names), wanted[0])
    refuse(no_column(missing, request, names) + "; or name the columns with source=, target=, weight=", table.line)


def _weight(table: Table, used: dict[int, str], ends: tuple[str, str], request: Request) -> str | None:
    """The name of the column of weights; None where there is none and nothing that may be it."""
    name = request.weight
    left = {place: column for place, column in used.items() if column not in ends}
    if name in left.values():
        return str(name)
    alike = [column for column in left.values() if column.casefold() == name.casefold()]
    if len(alike) > 1:
        refuse(f"columns {show(alike)} may hold the weight; say which: weight={alike[0]!r}", table.line)
    if alike:
        return alike[0]
    numeric = [column for place, column in left.items() if _may_be_weight(table, place, column)]
    if name != "weight" or numeric:
        found = f"; name the column that holds it, like weight={numeric[0]!r}" if numeric else ""
        refuse(no_column(name, request, list(used.values())) + found, table.line)
    return None


def _may_be_weight(table: Table, place: int, column: str) -> bool:
    if column.casefold() in _NO_WEIGHTS:
        return False
    values = [row.fields[place] for row in table.rows if place < len(row.fields) and row.fields[place]]
    return bool(values) and all(is_numeric(value, table.delimiter) for value in values)


def _say_taken(ends: tuple[str, str], weight: str | None, request: Request, notes: list[str]) -> None:
    wanted = (request.source or ENDS[0][0], request.target or ENDS[0][1], request.attribute)
    taken = [(column, name) for column, name in zip((*ends, weight), wanted, strict=True) if column not in (None, name)]
    if taken:
        columns, names = (
            ", ".join(part) for part in zip(*((show(column), name) for column, name in taken), strict=True)
        )
        notes.append(f"{'columns' if len(taken) > 1 else 'column'} {columns} taken for {names}")
    if weight is None:
        notes.append("no column of weights, all are 1")


# ---- decimal commas ------------------------------------------------------------------------------------------------


def with_decimal_points(table: Table, place: int, notes: list[str]) -> Iterator[str]:
    """The fields of a column of weights, decimal commas turned into points where nothing else can be meant."""
    values = [row.fields[place] if place < len(row.fields) else "" for row in table.rows]
    commas = [k for k, value in enumerate(values) if "," in value]
    if table.delimiter == "," or not commas or not all(DECIMAL.match(values[k]) for k in commas):
        return iter(values)
    if all(_THOUSANDS.match(values[k]) for k in commas) or any("." in value for value in values):
        k = commas[0]
        refuse(f"{values[k]!r}: is the comma a decimal point? Write weights with points", table.rows[k].line)
    notes.append("commas in weights are decimal points")
    return (value.replace(",", ".") for value in values)
