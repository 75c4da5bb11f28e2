"""Node-link JSON, as networkx writes it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import networkx as nx
import numpy as np

from balance_graph.graph.files._builder import Builder
from balance_graph.graph.files._refusal import FormatError, refuse, show
from balance_graph.graph.files._request import Request
from balance_graph.graph.files._spelling import check_zero, convert, plain_scalar, spell_nodes

# ---- writing -------------------------------------------------------------------------------------------------------


def write_json(network: nx.DiGraph[Any], _weight: str) -> str:
    """The text of a file."""
    names = spell_nodes(network, _spell)
    rows = {
        "nodes": [{"id": names[node], **_spelled(data, ("id",), node)} for node, data in network.nodes.items()],
        "edges": [
            {"source": names[tail], "target": names[head], **_spelled(data, ("source", "target"), tail, head)}
            for tail, head, data in network.edges(data=True)
        ],
    }
    start = {"directed": True, "multigraph": False, "graph": _spelled(network.graph, ())}
    dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    # One node or edge per line: files that diff well.
    lists = [f'"{name}": [\n' + ",\n".join(map(dumps, items)) + "\n]" for name, items in rows.items()]
    return ",\n".join([dumps(start)[:-1], *lists]) + "\n}\n"


def _spelled(attributes: Mapping[Any, Any], reserved: tuple[str, ...], *key: Any) -> dict[str, Any]:
    def rule(name: str, value: Any) -> Any:
        if name in reserved:
            refuse("node-link JSON uses this name itself; rename the attribute")
        return _spell(value)

    return convert(rule, attributes, *key)


def _spell(value: Any) -> Any:
    if value is None:
        return None
    if type(value) is tuple:
        return [_spell(item) for item in value]
    if type(value) is dict:
        if any(type(key) is not str for key in value):
            refuse(f"{show(value)} has keys that are not text; make them text")
        return {plain_scalar(key): _spell(item) for key, item in value.items()}
    remedy = "make it a tuple" if isinstance(value, list | set | frozenset | np.ndarray) else "convert or remove it"
    return plain_scalar(value, "text, finite numbers, bools, None, tuples and dicts of them", remedy)


# ---- reading -------------------------------------------------------------------------------------------------------


# What else networkx writes as JSON, by a key that only it has.
_OTHERS = {
    "elements": "the JSON of Cytoscape: networkx.cytoscape_graph",
    "adjacency": "adjacency data: networkx.adjacency_graph",
    "children": "tree data: networkx.tree_graph",
}


def read_json(text: str, request: Request, _notes: list[str]) -> nx.DiGraph[Any]:
    """The network of a file with that text."""
    document = _parse(text)
    if not isinstance(document, dict):
        refuse(f"a network is a JSON object with lists nodes and edges, got {show(document)}")
    for key, reader in _OTHERS.items():
        if key in document and not {"edges", "links"} & document.keys():
            refuse(f"this is {reader}(json.load(file)) reads it; balance_graph reads node-link JSON")
    if document.get("directed", True) is not True or document.get("multigraph", False) is not False:
        refuse("undirected graphs and multigraphs are not networks; convert to a networkx.DiGraph before writing")
    attributes = document.get("graph", {})
    if not isinstance(attributes, dict):
        refuse(f'"graph" must be an object, got {show(attributes)}')
    builder = Builder(request.attribute)
    source, target = request.source or "source", request.target or "target"
    builder.network.graph.update(_read_attributes(attributes))
    for place, row in _rows(document, "nodes"):
        node = _pop_node(row, "id", place)
        builder.add_node(node, _read_attributes(row, node))
    for place, row in _rows(document, "edges" if "edges" in document else "links"):
        tail, head = _pop_node(row, source, place), _pop_node(row, target, place)
        builder.add_edge(tail, head, _read_attributes(row, tail, head))
    if "directed" not in document and builder.network.edges:
        refuse(
            'it does not say "directed": true, and networkx reads it as undirected; if edges have directions, add that'
        )
    return builder.network


def _parse(text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
            refuse(f"an object has the key {show(twice)} twice")
        return result

    def number(spelled: str) -> float:
        value = float(spelled)
        if value == 0.0:
            check_zero(spelled, value, text.count("\n", 0, text.find(spelled)) + 1)
        return value

    try:
        return json.loads(text, object_pairs_hook=unique, parse_float=number)
    except json.JSONDecodeError as error:
        refuse(f"not valid JSON: {error.msg}", error.lineno)
    except ValueError:  # the interpreter's limit on the digits of an int
        refuse("a number has more digits than Python reads")


def _rows(document: dict[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a list, each with its place for messages."""
    rows = document.get(name)
    if not isinstance(rows, list):
        refuse(f'"{"edges" if name == "links" else name}" must be a list, got {show(rows)}')
    for k, row in enumerate(rows):
        if not isinstance(row, dict):
            refuse(f"{name}[{k}] must be an object, got {show(row)}")
        yield f"{name}[{k}]", row


def _pop_node(row: dict[str, Any], end: str, place: str) -> Any:
    spelled = row.pop(end, None)
    try:
        node = _read(spelled)
        hash(node)
    except (TypeError, FormatError):  # an object or a NaN inside
        node = None
    if node is None:
        remedy = "" if end == "id" else "; name the keys of both ends with source=, target="
        kinds = "text, a finite number, a bool or a list of them"
        refuse(f'{place} has {show(spelled)} as "{end}"; it must be {kinds}{remedy}')
    return node


def _read_attributes(attributes: dict[str, Any], *key: Any) -> dict[str, Any]:
    return convert(lambda _, value: _read(value), attributes, *key)


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_read(item) for item in value)
    if isinstance(value, dict):
        return {key: _read(item) for key, item in value.items()}
    return plain_scalar(value) if isinstance(value, float) else value
