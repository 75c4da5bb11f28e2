"""Edge list as CSV: source, target, weight and further attributes of edges."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator
from typing import Any

import networkx as nx

from balance_graph.graph.files._builder import Builder
from balance_graph.graph.files._columns import Columns, find_columns, with_decimal_points
from balance_graph.graph.files._records import MARKS, Quoted
from balance_graph.graph.files._refusal import owner, refuse, show, within
from balance_graph.graph.files._request import Request
from balance_graph.graph.files._spelling import (
    INTEGER,
    MEANINGFUL,
    NUMBER,
    Scalar,
    convert,
    plain_scalar,
    read_name,
    read_number,
    spell_name,
    spell_nodes,
)
from balance_graph.graph.files._table import Table, all_quoted, read_table

_ENDS = ("source", "target")
_NOT_TEXT = re.compile(r"(?:true|false|[+-]?(?:nan|inf|infinity))\Z", re.IGNORECASE | re.ASCII)


# ---- writing -------------------------------------------------------------------------------------------------------


def write_csv(network: nx.DiGraph[Any], weight: str, delimiter: str = ",") -> str:
    """The text of a file."""
    _check_holds(network)
    names = spell_nodes(network, _spell_node)
    rows = {edge: convert(_spell, network.edges[edge], *edge) for edge in _ordered_edges(network)}
    columns = list(dict.fromkeys([weight, *itertools.chain.from_iterable(rows.values())]))
    lines = [[*_ENDS, *columns]]
    lines += [[names[u], names[v], *(row.get(name, "") for name in columns)] for (u, v), row in rows.items()]
    return "".join(delimiter.join(_quote(text, delimiter) for text in line) + "\n" for line in lines)


def _check_holds(network: nx.DiGraph[Any]) -> None:
    """Refuse attributes of the network and of nodes, and isolated nodes: an edge list has no place for them."""
    owners = [((), network.graph), *(((node,), data) for node, data in network.nodes.items())]
    for key, attributes in owners:
        for name, value in attributes.items():
            refuse(f"{owner(*key)}, attribute {show(name)}: {show(value)} has no place in CSV; write to .json")
    for node in nx.isolates(network):
        refuse(f"{owner(node)} has no edges, so it has no place in CSV; write to .json, or remove it")


def _ordered_edges(network: nx.DiGraph[Any]) -> Iterator[tuple[Any, Any]]:
    """The edges in an order in which sources, and sinks, first appear as in the network.

    These orders fix the meaning of the components of inputs and outputs. Edges that would show a later source or sink
    first wait for the next pass; writing an edge never blocks another, so this finds an order whenever there is one.
    """
    sources = {node: k for k, node in enumerate(n for n in network if not network.in_degree(n))}
    sinks = {node: k for k, node in enumerate(n for n in network if not network.out_degree(n))}
    pending = sorted(network.edges, key=lambda edge: sinks.get(edge[1], -1))  # so that one pass does nearly always
    seen_sources = seen_sinks = 0
    while pending:
        waiting = []
        for tail, head in pending:
            source, sink = sources.get(tail, -1), sinks.get(head, -1)
            if source > seen_sources or sink > seen_sinks:
                waiting.append((tail, head))
                continue
            seen_sources, seen_sinks = max(seen_sources, source + 1), max(seen_sinks, sink + 1)
            yield tail, head
        if len(waiting) == len(pending):
            refuse(f"CSV cannot keep the order of inputs and outputs around {owner(*waiting[0])}; write to .json")
        pending = waiting


def _spell_node(node: Any) -> str:
    text = _kept(spell_name(node))
    return Quoted(text) if isinstance(node, str) and INTEGER.match(text) else text


def _spell(name: str, value: Any) -> str:
    if name in _ENDS:
        refuse("CSV uses this name itself; rename the attribute, or write to .json")
    _kept(name)
    plain = plain_scalar(value)
    if type(plain) is bool:
        return str(plain).lower()
    if type(plain) is not str:
        return repr(plain)
    if not plain or _NOT_TEXT.match(plain) or NUMBER.match(plain):
        refuse(f"the text {plain!r} would not be read back as text; write to .json")
    _check_directed(name, plain)
    return _kept(plain)


def _kept(text: str) -> str:
    """The text of a field, if a reader sees the same."""
    if text != text.strip() or not text or len(text) > csv.field_size_limit():
        refuse(f"{show(text)} is empty, too long, or has blanks at its ends, which CSV does not keep; write to .json")
    return text


def _quote(text: str, delimiter: str) -> str:
    # By hand, since Python before 3.13 leaves a lone carriage return unquoted.
    special = (
        isinstance(text, Quoted) or text.startswith(tuple(MARKS)) or any(mark in text for mark in f'{delimiter}"\r\n')
    )
    return '"' + text.replace('"', '""') + '"' if special else text


# ---- reading -------------------------------------------------------------------------------------------------------


def read_csv(text: str, request: Request, notes: list[str], delimiter: str = ",") -> nx.DiGraph[Any]:
    """The network of a file with that text, whose fields `delimiter` usually separates."""
    builder = Builder(request.attribute)
    table = read_table(text, request, delimiter, notes)
    columns = find_columns(table, request, notes)
    rows = table.rows
    weights: Iterator[str] = itertools.repeat("1.0", len(rows))
    if columns.weight is not None:
        weights = with_decimal_points(table, columns.weight, notes)
    text_in_quotes = bool(rows) and not all_quoted(rows[0].fields)
    missing = 0
    for record, weight in zip(rows, weights, strict=True):
        with within(line=record.line):
            if len(record.fields) != table.width:
                refuse(f"{len(record.fields)} fields where the {_first_line(table)} has {table.width}")
            missing += _add_row(builder, columns, record.fields, weight, text_in_quotes)
    if missing:
        notes.append(f"missing values (nan) are left out: {missing}")
    return builder.network


def _first_line(table: Table) -> str:
    return "first line" if table.names is None else "header"


def _add_row(builder: Builder, columns: Columns, row: list[str], weight: str, text_in_quotes: bool) -> int:
    """Add an edge, and tell how many of its values are missing."""
    tail, head = (_read_node(row[end], text_in_quotes) for end in (columns.source, columns.target))
    if "" in (tail, head):
        refuse("an edge needs a source and a target")
    given = {name: row[place] for place, name in columns.further.items() if row[place]}
    present = {name: value for name, value in given.items() if name in MEANINGFUL or value.lower() != "nan"}
    if weight:
        present = {builder.weight: weight} | present
    attributes = convert(_read, present, tail, head)
    builder.network.add_nodes_from([tail, head])
    builder.add_edge(tail, head, attributes)
    return len(given) - len(present) + bool(weight)


def _read_node(text: str, text_in_quotes: bool) -> str | int:
    return str(text) if text_in_quotes and isinstance(text, Quoted) else read_name(str(text))


def _read(name: str, text: str) -> Scalar:
    _check_directed(name, text)
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return read_number(text) if NUMBER.match(text) or _NOT_TEXT.match(text) else str(text)


def _check_directed(name: str, text: str) -> None:
    """Refuse what Gephi says of undirected edges."""
    if name.casefold() == "type" and text.casefold() == "undirected":
        refuse(f"{show(str(text))}; a network is directed: list both directions of an edge, of type Directed")
