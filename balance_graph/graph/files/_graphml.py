"""GraphML.

By hand, since networkx's reader knows no lines, merges what appears twice and lets DOCTYPE pass, and its writer loses
carriage returns: the checks around it would be longer than this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import networkx as nx

from balance_graph.graph.files._builder import Builder
from balance_graph.graph.files._refusal import FormatError, refuse, show, within
from balance_graph.graph.files._spelling import (
    INTEGER,
    Scalar,
    convert,
    plain_scalar,
    read_float,
    read_integer,
    read_name,
    spell_name,
    spell_nodes,
)
from balance_graph.graph.files._xml import Element, parse_xml

_NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
_TYPES = {bool: "boolean", int: "long", float: "double", str: "string"}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


# ---- writing -------------------------------------------------------------------------------------------------------


def write_graphml(network: nx.DiGraph[Any], _weight: str) -> str:
    """The text of a file."""
    from xml.sax.saxutils import escape, quoteattr  # brings urllib, which importing the package must not

    keys: dict[tuple[str, str, str], str] = {}

    def data(scope: str, attributes: Mapping[Any, Any], *key: Any) -> str:
        """The data elements of one owner; declares the keys they need."""
        elements = []
        for name, (kind, text) in convert(_spell, attributes, *key).items():
            identity = keys.setdefault((scope, name, kind), f"d{len(keys)}")
            elements.append(f'<data key="{identity}">{escape(text, {chr(13): "&#13;"})}</data>')
        return "".join(elements)

    names = spell_nodes(network, lambda node: quoteattr(_held(spell_name(node))))
    body = [data("graph", network.graph)]
    body += [f"<node id={names[node]}>{data('node', values, node)}</node>" for node, values in network.nodes.items()]
    body += [
        f"<edge source={names[tail]} target={names[head]}>{data('edge', values, tail, head)}</edge>"
        for tail, head, values in network.edges(data=True)
    ]
    declared = [
        f'<key id="{identity}" for="{scope}" attr.name={quoteattr(name)} attr.type="{kind}"/>'
        for (scope, name, kind), identity in keys.items()
    ]
    start = ['<?xml version="1.0" encoding="utf-8"?>', f'<graphml xmlns="{_NAMESPACE}">']
    graph = ['<graph edgedefault="directed">', *filter(None, body), "</graph>"]
    return "\n".join([*start, *declared, *graph, "</graphml>", ""])


def _spell(name: str, value: Any) -> tuple[str, str]:
    """Its type in GraphML, and its text."""
    _held(name)
    plain = plain_scalar(value)
    if type(plain) is int and not -(2**63) <= plain < 2**63:
        refuse(f"{show(plain)} is beyond the 64 bits of a GraphML long; write to .json")
    return _TYPES[type(plain)], _held(str(plain).lower() if type(plain) is bool else str(plain))


def _held(text: str) -> str:
    if _NOT_XML.search(text):
        refuse(f"{show(text)} has a character that XML cannot hold; rename it, or write to .json")
    return text


# ---- reading -------------------------------------------------------------------------------------------------------


def read_graphml(text: str, weight: str) -> nx.DiGraph[Any]:
    """The network of a file with that text."""
    root = parse_xml(text)
    graphs = root.all("graph")
    if root.tag != "graphml" or len(graphs) != 1:
        refuse(f"a network is one <graph> in <graphml>, got {len(graphs)} in <{root.tag}>", root.line)
    graph = graphs[0]
    if graph.attributes.get("edgedefault") != "directed":
        refuse('the graph is undirected; a network has edgedefault="directed"', graph.line)
    keys = {child.get("id"): _read_key(child) for child in root.all("key")}
    builder = Builder(weight)
    builder.network.graph.update(_read_attributes(graph, keys))
    for element in graph.all("node"):
        (node,) = _read_names(element, "id")
        builder.add_node(node, _read_attributes(element, keys, node), element.line)
    for element in graph.all("edge"):
        if element.attributes.get("directed", "true") != "true":
            refuse("an undirected edge; a network is directed", element.line)
        tail, head = _read_names(element, "source", "target")
        builder.add_edge(tail, head, _read_attributes(element, keys, tail, head), element.line)
    return builder.network


class _Key(NamedTuple):
    """A declared attribute: its name (None: graphics of an editor, skipped), type, scope and default."""

    name: str | None
    kind: str
    scope: str
    default: Scalar | None = None


def _read_key(element: Element) -> _Key:
    get = element.attributes.get
    key = _Key(get("attr.name"), get("attr.type", "string"), get("for", "all"))
    for default in element.all("default"):
        key = key._replace(default=_read(key, default))
    return key


def _read_names(element: Element, *names: str) -> list[str | int]:
    with within(line=element.line):
        return [read_name(element.get(name)) for name in names]


def _read_attributes(element: Element, keys: Mapping[str, _Key], *owner: Any) -> dict[str, Any]:
    """What the element's data say, and the defaults of what they do not."""
    attributes: dict[str, Any] = {}
    parts = ("data", "desc", *(("node", "edge") if element.tag == "graph" else ()))
    with within(*owner):
        for child in element.children:
            if child.tag not in parts:
                refuse(f"<{child.tag}> in <{element.tag}> is not part of a network", child.line)
            if child.tag != "data":
                continue
            key = keys.get(child.get("key"))
            if key is None:
                refuse(f"data with key {child.get('key')!r}, which no <key> declares", child.line)
            if key.name in attributes:
                refuse(f"attribute {key.name!r} is given twice", child.line)
            if key.name is not None:
                attributes[key.name] = _read(key, child)
    defaults = {
        key.name: key.default
        for key in keys.values()
        if key.name is not None and key.default is not None and key.scope in (element.tag, "all")
    }
    return defaults | attributes


def _read(key: _Key, element: Element) -> Scalar:
    try:
        return _read_scalar(key.kind, "".join(element.texts))
    except FormatError as refusal:
        refusal.locate(f"attribute {key.name!r}: ", element.line)
        raise


def _read_scalar(kind: str, text: str) -> Scalar:
    if kind == "string":
        return text
    text = text.strip()
    if kind in ("float", "double"):
        return read_float(text)
    if kind in ("int", "long") and INTEGER.match(text):
        return read_integer(text)
    if kind != "boolean" or text.lower() not in ("true", "false", "1", "0"):
        refuse(f"{show(text)} is not of type {kind}")
    return text.lower() in ("true", "1")
