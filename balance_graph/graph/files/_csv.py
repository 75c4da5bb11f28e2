"""Edge list as CSV: source, target, weight and further attributes of edges."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator
from typing import Any

import networkx as nx

from balance_graph.graph.files._builder import Builder
from balance_graph.graph.files._refusal import owner, refuse, show, within
from balance_graph.graph.files._spelling import (
    NUMBER,
    Scalar,
    convert,
    plain_scalar,
    read_name,
    read_number,
    spell_name,
    spell_nodes,
)

_ENDS = ("source", "target")
_NOT_TEXT = re.compile(r"(?:true|false|[+-]?(?:nan|inf|infinity))\Z", re.IGNORECASE | re.ASCII)


# ---- writing -------------------------------------------------------------------------------------------------------


def write_csv(network: nx.DiGraph[Any], weight: str) -> str:
    """The text of a file."""
    _check_holds(network)
    names = spell_nodes(network, lambda node: _kept(spell_name(node)))
    rows = {edge: convert(_spell, network.edges[edge], *edge) for edge in _ordered_edges(network)}
    columns = list(dict.fromkeys([weight, *itertools.chain.from_iterable(rows.values())]))
    lines = [[*_ENDS, *columns]]
    lines += [[names[u], names[v], *(row.get(name, "") for name in columns)] for (u, v), row in rows.items()]
    return "".join(",".join(map(_quote, line)) + "\n" for line in lines)


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
    return _kept(plain)


def _kept(text: str) -> str:
    """The text of a field, if a reader sees the same."""
    if text != text.strip() or not text or len(text) > csv.field_size_limit():
        refuse(f"{show(text)} is empty, too long, or has blanks at its ends, which CSV does not keep; write to .json")
    return text


def _quote(text: str) -> str:
    # By hand, since Python before 3.13 leaves a lone carriage return unquoted.
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\r\n') else text


# ---- reading -------------------------------------------------------------------------------------------------------


def read_csv(text: str, weight: str) -> nx.DiGraph[Any]:
    """The network of a file with that text."""
    builder = Builder(weight)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(rows)]
        _check_header(header, weight)
        for row in rows:
            if row:
                _read_row(builder, header, [value.strip() for value in row], rows.line_num)
    except csv.Error as error:
        refuse(f"not valid CSV: {error}", rows.line_num)
    return builder.network


def _check_header(header: list[str], weight: str) -> None:
    wanted = [*_ENDS, weight]
    missing = [name for name in wanted if name not in header]
    if missing:
        found = f"the first line must be {','.join(map(str, wanted))}, it has {show(header)}"
        refuse(f"no column {show(missing[0])}; {found}", 1)
    if len(set(header)) != len(header) or "" in header:
        refuse(f"columns need distinct names, got {show(header)}", 1)


def _read_row(builder: Builder, header: list[str], row: list[str], line: int) -> None:
    with within(line=line):
        if len(row) != len(header):
            refuse(f"{len(row)} fields where the header has {len(header)}")
        fields = dict(zip(header, row, strict=True))
        tail, head = (read_name(fields.pop(end)) for end in _ENDS)
        if "" in (tail, head):
            refuse("an edge needs a source and a target")
        given = {name: value for name, value in fields.items() if value}
        attributes = convert(lambda _, value: _read(value), given, tail, head)
        builder.network.add_nodes_from([tail, head])
        builder.add_edge(tail, head, attributes)


def _read(text: str) -> Scalar:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return read_number(text) if NUMBER.match(text) or _NOT_TEXT.match(text) else text
