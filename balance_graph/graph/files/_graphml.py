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
from balance_graph.graph.files._refusal import FormatError, owner, refuse, show, within
from balance_graph.graph.files._request import Request
from balance_graph.graph.files._spelling import (
    INTEGER,
    MEANINGFUL,
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
# Marks nodes named by text that spells an int, which GraphML has no means to tell from the int.
_OURS = "urn:balance_graph"
_TEXT = ' b:name="text"'
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
    marks = {node: _TEXT for node in network if isinstance(node, str) and INTEGER.match(node)}
    for node in marks:
        if int(node) in network:
            refuse(f"nodes {show(node)} and {node} have the same spelling in GraphML; rename one, or write to .json")
    body = [data("graph", network.graph)]
    body += [
        f"<node id={names[node]}{marks.get(node, '')}>{data('node', values, node)}</node>"
        for node, values in network.nodes.items()
    ]
    body += [
        f"<edge source={names[tail]} target={names[head]}>{data('edge', values, tail, head)}</edge>"
        for tail, head, values in network.edges(data=True)
    ]
    declared = [
        f'<key id="{identity}" for="{scope}" attr.name={quoteattr(name)} attr.type="{kind}"/>'
        for (scope, name, kind), identity in keys.items()
    ]
    ours = f' xmlns:b="{_OURS}"' if marks else ""
    start = ['<?xml version="1.0" encoding="utf-8"?>', f'<graphml xmlns="{_NAMESPACE}"{ours}>']
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


def read_graphml(text: str, request: Request, notes: list[str]) -> nx.DiGraph[Any]:
    """The network of a file with that text; notes name what was skipped."""
    root = parse_xml(text)
    graphs = root.all("graph")
    if root.tag != "graphml" or len(graphs) != 1:
        refuse(f"a network is one <graph> in <graphml>, got {len(graphs)} in <{root.tag}>", root.line)
    graph = graphs[0]
    if graph.attributes.get("edgedefault") != "directed":
        refuse('the graph is undirected; a network has edgedefault="directed"', graph.line)
    reader = _Reader({child.get("id"): _read_key(child) for child in root.all("key")}, request.attribute)
    builder = Builder(request.attribute)
    builder.network.graph.update(reader.attributes(graph))
    nodes: dict[str, str | int] = {}
    for element in graph.all("node"):
        identity = element.get("id")
        node = _read_node(element, identity)
        if identity in nodes:
            refuse(f"{owner(node)} appears twice", element.line)
        nodes[identity] = node
        builder.add_node(node, reader.attributes(element, node), element.line)
    for element in graph.all("edge"):
        if element.attributes.get("directed", "true") != "true":
            refuse("an undirected edge; a network is directed", element.line)
        tail, head = _read_ends(element, nodes)
        builder.add_edge(tail, head, reader.attributes(element, tail, head), element.line)
    if root.all("data"):
        reader.skipped["data of <graphml> itself"] = None
    if reader.skipped:
        notes.append(f"skipped: {', '.join(reader.skipped)}")
    return builder.network


class _Key(NamedTuple):
    """A declared attribute: its name (None: graphics of an editor, named by `kind`), type, scope and default."""

    name: str | None
    kind: str
    scope: str
    default: Element | None = None


def _read_key(element: Element) -> _Key:
    get = element.attributes.get
    name = get("attr.name")
    kind = get("attr.type", "string") if name is not None else get("yfiles.type", "without a name")
    return _Key(name, kind, get("for", "all"), next(iter(element.all("default")), None))


def _read_node(element: Element, identity: str) -> str | int:
    with within(line=element.line):
        return identity if element.attributes.get(f"{_OURS}}}name") == "text" else read_name(identity)


def _read_ends(element: Element, nodes: Mapping[str, str | int]) -> list[str | int]:
    with within(line=element.line):
        ends = [element.get("source"), element.get("target")]
        return [nodes[end] if end in nodes else read_name(end) for end in ends]


class _Reader:
    """Reads attributes, and remembers what it skipped: what editors add, and values that no attribute here can hold."""

    def __init__(self, keys: Mapping[str, _Key], weight: str) -> None:
        self.keys = keys
        self.kept = MEANINGFUL | {weight}
        self.skipped: dict[str, None] = {}
        self.defaults: list[tuple[str, dict[str, Any]]] = []
        for key in keys.values():
            if key.default is not None:
                default: dict[str, Any] = {}
                self._read_into(default, key, key.default)
                self.defaults.append((key.scope, default))

    def attributes(self, element: Element, *key: Any) -> dict[str, Any]:
        """What the element's data say, and the defaults of what they do not."""
        attributes: dict[str, Any] = {}
        parts = ("data", "desc", *(("node", "edge") if element.tag == "graph" else ("port",)))
        with within(*key):
            for child in element.children:
                if child.tag not in parts:
                    refuse(f"<{child.tag}> in <{element.tag}> is not part of a network{_remedy(child)}", child.line)
                if child.tag == "port":
                    self.skipped["<port>"] = None
                elif child.tag == "data":
                    self._add(attributes, child)
        defaults: dict[str, Any] = {}
        for scope, default in self.defaults:
            defaults |= default if scope in (element.tag, "all") else {}
        return defaults | attributes

    def _add(self, attributes: dict[str, Any], child: Element) -> None:
        key = self.keys.get(child.get("key"))
        if key is None:
            refuse(f"data with key {child.get('key')!r}, which no <key> declares", child.line)
        if key.name in attributes:
            refuse(f"attribute {key.name!r} is given twice", child.line)
        self._read_into(attributes, key, child)

    def _read_into(self, attributes: dict[str, Any], key: _Key, element: Element) -> None:
        """The value of an attribute, unless it is skipped."""
        text = "".join(element.texts)
        if key.name is None:
            self.skipped[f"graphics of an editor ({key.kind})"] = None
        elif key.name not in self.kept and (key.kind not in _READABLE or element.children):
            self.skipped[f"attribute {key.name!r} of type {key.kind}"] = None
        elif key.name not in self.kept and key.kind in _NUMERIC and text.strip().lower() in ("", "nan"):
            self.skipped[f"missing values of attribute {key.name!r}"] = None
        else:
            attributes[key.name] = _read(key, element, text)


def _remedy(element: Element) -> str:
    return "; take its nodes out of the group in the editor" if element.tag == "graph" else ""


_FLOATS = ("float", "double")
_INTEGERS = ("int", "long", "integer", "short")
_NUMERIC = (*_FLOATS, *_INTEGERS)
_READABLE = ("string", "boolean", *_NUMERIC)


def _read(key: _Key, element: Element, text: str) -> Scalar:
    try:
        return _read_scalar(key.kind, text)
    except FormatError as refusal:
        refusal.locate(f"attribute {key.name!r}: ", element.line)
        raise


def _read_scalar(kind: str, text: str) -> Scalar:
    if kind == "string":
        return text
    text = text.strip()
    if kind in _FLOATS:
        return read_float(text)
    if kind in _INTEGERS and INTEGER.match(text):
        return read_integer(text)
    if kind != "boolean" or text.lower() not in ("true", "false", "1", "0"):
        refuse(f"{show(text)} is not of type {kind}")
    return text.lower() in ("true", "1")
