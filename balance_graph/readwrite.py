r"""Networks in files: node-link JSON, GraphML, CSV edge list, chosen by the suffix of the path.

Writing loses nothing: reading the file gives back the same nodes and attributes with the same types, and the same
floats to the last bit. What a format cannot hold is refused, with the node or edge, the value and the remedy, before
anything is written.

============  ============================  ====================================  ==============================
suffix        nodes                         attributes                            order of nodes
============  ============================  ====================================  ==============================
``.json``     text, numbers, bools, tuples  the same, None, and dicts of them     kept
``.graphml``  text, ints                    text, numbers, bools                  kept
``.csv``      text, ints; none isolated     of edges only: text, numbers, bools   inputs and outputs keep theirs
============  ============================  ====================================  ==============================

- numpy scalars are written as Python numbers. Numbers must be finite.
- JSON arrays are tuples on both sides (nodes, ``group`` and ``shared`` must be hashable), so lists are refused.
- In CSV and GraphML a node spelled like an integer (``-?[1-9][0-9]*|0``) is an int, and text so spelled is refused.
- In CSV an empty field is an absent attribute; ``true``, ``false`` and numbers are read as such, all else as text.
- An `Activation` is written as its name, and read as text, when that name means the same function here; an activation
  made by the user is refused unless `balance_graph.register_activation` knows it.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import re
import secrets
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

import networkx as nx
import numpy as np

from balance_graph.activations import Activation, activation
from balance_graph.errors import InvalidParameterError, NetworkFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["read_network", "write_network"]

Scalar = bool | int | float | str
_T = TypeVar("_T")

_INTEGER = re.compile(r"(?:0|-?[1-9][0-9]*)\Z", re.ASCII)
# No two repetitions of digits side by side: matching takes time linear in the text, whatever a file holds.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)\Z", re.IGNORECASE | re.ASCII)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_GRAPHML = "http://graphml.graphdrawing.org/xmlns"


class _FormatError(Exception):
    """What is wrong, and on which line of the file; the public functions add the file."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line

    def within(self, owner: str, line: int | None = None) -> None:
        """Put `owner` before the message, on its way up."""
        self.args = (f"{owner}{self}",)
        self.line = self.line or line


# ---- the two doors -------------------------------------------------------------------------------------------------


def read_network(path: str | os.PathLike[str]) -> nx.DiGraph[Any]:
    r"""Read a network from a ``.json`` (node-link), ``.graphml`` or ``.csv`` (edge list) file.

    Parameters
    ----------
    path : str or path-like
        The file, UTF-8 text. CSV: a header with ``source``, ``target``, ``weight`` and any further edge attributes.
        JSON: as `networkx.node_link_data` writes it, edges under ``"edges"`` (or ``"links"``).

    Returns
    -------
    networkx.DiGraph
        With a finite number as ``weight`` on every edge. Roles and activations are read, not judged.

    Raises
    ------
    NetworkFileError
        If the file is missing, has another suffix, is damaged, or is not a directed network with at most one edge
        from one node to another and finite weights. The message is one line with the file and, where known, the line.

    See Also
    --------
    write_network : the inverse; the rules of each format are in the documentation of the module.

    Examples
    --------
    >>> import balance_graph as bg
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "small.csv"
    ...     _ = path.write_text("source,target,weight\nx,h,2\nh,y,0.5\n")
    ...     bg.read_network(path).edges["h", "y"]["weight"]
    0.5
    """
    file = _path(path)
    try:
        return _format(file).read(_text(file))
    except _FormatError as refusal:
        _fail(file, str(refusal), refusal.line, refusal)
    except RecursionError as error:
        _fail(file, "nested too deeply to be a network", None, error)
    except OSError as error:
        _fail(file, f"cannot be read: {error.strerror or error}", None, error)


def write_network(G: nx.DiGraph[Any], path: str | os.PathLike[str]) -> None:  # noqa: N803
    """Write a network to a ``.json``, ``.graphml`` or ``.csv`` file, without loss or not at all.

    The file appears whole: it is written beside its place and moved there in one step, so an interruption leaves what
    was there before.

    Parameters
    ----------
    G : networkx.DiGraph
        The network, with a finite number as ``weight`` on every edge.
    path : str or path-like
        The file; an existing one is replaced.

    Raises
    ------
    NetworkFileError
        If the format cannot hold the network without loss (the message names the node or edge, the attribute, the
        value and the remedy), or the file cannot be written.

    See Also
    --------
    read_network : the inverse.

    Examples
    --------
    >>> import balance_graph as bg
    >>> import tempfile, pathlib
    >>> G = bg.networks.layered([2, 3, 1], rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "layered.json"
    ...     bg.write_network(G, path)
    ...     H = bg.read_network(path)
    >>> list(H.nodes(data=True)) == list(G.nodes(data=True)) and list(H.edges(data=True)) == list(G.edges(data=True))
    True
    """
    file = _path(path)
    try:
        kind = _format(file)
        _check_network(G)
        _replace(file, kind.write(G).encode("utf-8"))
    except _FormatError as refusal:
        _fail(file, str(refusal), refusal.line, refusal)
    except RecursionError as error:
        _fail(file, "cannot be written: a value is nested too deeply, or contains itself", None, error)
    except OSError as error:
        _fail(file, f"cannot be written: {error.strerror or error}", None, error)


def _path(path: Any) -> Path:
    try:
        file = Path(path)
    except TypeError as error:
        message = f"the path of a network file must be text or path-like, got {path!r}"
        raise NetworkFileError(message) from error
    try:
        encoded = os.fsencode(file)
    except UnicodeEncodeError:
        encoded = b"\0"
    if b"\0" in encoded:
        message = f"{str(file)!r} cannot be the path of a file"
        raise NetworkFileError(message)
    return file


def _fail(file: Path, reason: str, line: int | None, cause: Exception) -> NoReturn:
    name = str(file) if str(file).isprintable() else repr(str(file))
    place = f"{name}, line {line}" if line else name
    message = f"{place}: {reason}"
    raise NetworkFileError(message) from cause


def _text(file: Path) -> str:
    data = file.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        message = f"byte {error.object[error.start]:#04x} is not UTF-8 text; save the file as UTF-8"
        raise _FormatError(message, line) from error
    if not text.strip():
        message = "the file is empty"
        raise _FormatError(message)
    return text


def _replace(file: Path, data: bytes) -> None:
    """Write beside the target, flush to the disk, move: readers see the old file or the new one, whole."""
    target = Path(os.path.realpath(file))  # a link stays a link
    if not target.parent.is_dir():
        message = "cannot be written: its folder does not exist; create it first"
        raise _FormatError(message)
    draft = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with draft.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists():
            draft.chmod(target.stat().st_mode & 0o777)
        draft.replace(target)
    except BaseException:  # KeyboardInterrupt included: leave no litter
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


# ---- values: each spelling has its reading beside it ---------------------------------------------------------------


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _owner(*key: Any) -> str:
    """The network (no key), a node (one) or an edge (two), for messages."""
    if not key:
        return "the network"
    return f"node {_show(key[0])}" if len(key) == 1 else f"edge {_show(key[0])} -> {_show(key[1])}"


def _scalar(value: Any, held: str = "text, finite numbers and bools", remedy: str = "write to .json") -> Scalar:
    """The Python bool, int, float or str that is exactly `value`."""
    value = value.item() if isinstance(value, np.generic) else value
    if type(value) not in (bool, int, float, str):
        message = f"{_show(value)} is of type {type(value).__name__}; this format holds {held}: {remedy}"
        raise _FormatError(message)
    if type(value) is float and not math.isfinite(value):
        message = f"{value!r} is not a finite number; replace or remove it"
        raise _FormatError(message)
    try:
        str(value).encode("utf-8")
    except UnicodeEncodeError as error:
        message = f"{_show(value)} has half of a surrogate pair, which UTF-8 cannot hold; rename it"
        raise _FormatError(message) from error
    except ValueError as error:  # the interpreter's limit on the digits of an int
        message = "the int has more digits than Python reads back; store it as text"
        raise _FormatError(message) from error
    scalar: Scalar = value
    return scalar


def _number(text: str) -> int | float:
    """The finite number that `text` spells: an int when spelled as Python spells ints."""
    if not _NUMBER.match(text):
        message = f"{_show(text)} is not a finite number"
        raise _FormatError(message)
    try:
        value = int(text) if _INTEGER.match(text) else float(text)
    except ValueError as error:
        message = f"the integer has {len(text)} digits, more than Python reads"
        raise _FormatError(message) from error
    if value in (math.inf, -math.inf):
        message = f"{_show(text)} overflows to infinity"
        raise _FormatError(message)
    return value


def _name(text: str) -> str | int:
    """The node spelled `text` in GraphML and CSV."""
    return int(_number(text)) if _INTEGER.match(text) else text


def _spell_name(node: Any) -> str:
    plain = _scalar(node, "nodes that are text or ints")
    if type(plain) not in (int, str):
        message = f"is of type {type(plain).__name__}; this format holds nodes that are text or ints: write to .json"
        raise _FormatError(message)
    text = str(plain)
    if type(plain) is str and _INTEGER.match(text):
        message = "is text, but this format would read it back as an int; write to .json, or rename the node"
        raise _FormatError(message)
    return text


def _activation_text(value: Activation) -> str:
    """Its name, if that names the same function to a reader."""
    try:
        known = activation(value.name)
    except InvalidParameterError as error:
        message = (
            f"the name of {_show(value)} means nothing to a reader; register it with "
            "balance_graph.register_activation, or use an activation of the text grammar"
        )
        raise _FormatError(message) from error
    samples = np.array([-3.0, -0.7, 0.0, 0.4, 2.5])
    same = known.name == value.name and known.degree == value.degree
    if not (same and np.array_equal(known(samples), value(samples), equal_nan=True)):
        message = (
            f"{_show(value)} would be read back as the different {_show(known)}; give it another name, register it"
        )
        raise _FormatError(message)
    return value.name


def _converted(convert: Callable[[str, Any], _T], attributes: Mapping[Any, Any], *key: Any) -> dict[str, _T]:
    """Every attribute through ``convert(name, value)``; a refusal names the owner and the attribute."""
    result = {}
    for name, value in attributes.items():
        try:
            if type(name) is not str:
                message = f"its name is of type {type(name).__name__}; names must be text: rename it"
                raise _FormatError(message)
            _scalar(name)
            is_activation = name == "activation" and len(key) == 1 and isinstance(value, Activation)
            result[name] = convert(name, _activation_text(value) if is_activation else value)
        except _FormatError as refusal:
            refusal.within(f"{_owner(*key)}, attribute {_show(name)}: ")
            raise
    return result


def _spelled_nodes(network: nx.DiGraph[Any], spell: Callable[[Any], _T]) -> dict[Any, _T]:
    spelled = {}
    for node in network:
        try:
            spelled[node] = spell(node)
        except _FormatError as refusal:
            refusal.within(f"{_owner(node)}: ")
            raise
    return spelled


# ---- the network ---------------------------------------------------------------------------------------------------


def _check_weight(attributes: Mapping[str, Any]) -> None:
    if "weight" not in attributes:
        message = "has no weight; every edge needs a finite number as attribute 'weight'"
        raise _FormatError(message)
    weight = attributes["weight"]
    numeric = isinstance(weight, int | float | np.integer | np.floating) and not isinstance(weight, bool)
    try:
        finite = numeric and math.isfinite(weight)
    except OverflowError:  # an int beyond the largest float
        finite = False
    if not finite:
        message = f"has weight {_show(weight)}; a weight must be a finite number"
        raise _FormatError(message)


def _check_network(network: Any) -> None:
    if not isinstance(network, nx.DiGraph) or network.is_multigraph():
        message = f"cannot write a {type(network).__name__}; a network is a networkx.DiGraph: convert it first"
        raise _FormatError(message)
    for tail, head, attributes in network.edges(data=True):
        try:
            _check_weight(attributes)
        except _FormatError as refusal:
            refusal.within(f"{_owner(tail, head)} ")
            raise


def _add_node(network: nx.DiGraph[Any], node: Any, attributes: dict[str, Any], line: int | None = None) -> None:
    if node in network:
        message = f"{_owner(node)} appears twice"
        raise _FormatError(message, line)
    network.add_nodes_from([(node, attributes)])  # keeps attributes whose names are parameters of add_node


def _add_edge(
    network: nx.DiGraph[Any], tail: Any, head: Any, attributes: dict[str, Any], line: int | None = None
) -> None:
    for node in (tail, head):
        if node not in network:
            message = f"{_owner(tail, head)}: there is no node {_show(node)} in the file"
            raise _FormatError(message, line)
    if network.has_edge(tail, head):
        message = f"{_owner(tail, head)} appears twice; a network has at most one edge from one node to another"
        raise _FormatError(message, line)
    try:
        _check_weight(attributes)
    except _FormatError as refusal:
        refusal.within(f"{_owner(tail, head)} ", line)
        raise
    network.add_edges_from([(tail, head, attributes)])


# ---- node-link JSON ------------------------------------------------------------------------------------------------


def _spell_json(value: Any) -> Any:
    if value is None:
        return None
    if type(value) is tuple:
        return [_spell_json(item) for item in value]
    if type(value) is dict:
        if any(type(key) is not str for key in value):
            message = f"{_show(value)} has keys that are not text; make them text"
            raise _FormatError(message)
        return {_scalar(key): _spell_json(item) for key, item in value.items()}
    remedy = "make it a tuple" if isinstance(value, list | set | frozenset | np.ndarray) else "convert or remove it"
    return _scalar(value, "text, finite numbers, bools, None, tuples and dicts of them", remedy)


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_from_json(item) for item in value)
    if isinstance(value, dict):
        return {key: _from_json(item) for key, item in value.items()}
    return _scalar(value) if isinstance(value, float) else value


def _write_json(network: nx.DiGraph[Any]) -> str:
    def keep(reserved: tuple[str, ...]) -> Callable[[str, Any], Any]:
        def convert(name: str, value: Any) -> Any:
            if name in reserved:
                message = "node-link JSON uses this name itself; rename the attribute"
                raise _FormatError(message)
            return _spell_json(value)

        return convert

    names = _spelled_nodes(network, _spell_json)
    rows = {
        "nodes": [{"id": names[node], **_converted(keep(("id",)), data, node)} for node, data in network.nodes.items()],
        "edges": [
            {"source": names[tail], "target": names[head], **_converted(keep(("source", "target")), data, tail, head)}
            for tail, head, data in network.edges(data=True)
        ],
    }
    start = {"directed": True, "multigraph": False, "graph": _converted(keep(()), network.graph)}
    dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    # One node or edge per line: files that diff well.
    lists = [f'"{name}": [\n' + ",\n".join(map(dumps, items)) + "\n]" for name, items in rows.items()]
    return ",\n".join([dumps(start)[:-1], *lists]) + "\n}\n"


def _read_json(text: str) -> nx.DiGraph[Any]:
    document = _parse_json(text)
    if not isinstance(document, dict):
        message = f"a network is a JSON object with lists nodes and edges, got {_show(document)}"
        raise _FormatError(message)
    if document.get("directed", True) is not True or document.get("multigraph", False) is not False:
        message = "undirected graphs and multigraphs are not networks; convert to a networkx.DiGraph before writing"
        raise _FormatError(message)
    attributes = document.get("graph", {})
    if not isinstance(attributes, dict):
        message = f'"graph" must be an object, got {_show(attributes)}'
        raise _FormatError(message)
    network: nx.DiGraph[Any] = nx.DiGraph()
    network.graph.update(_json_attributes(attributes))
    for place, row in _rows(document, "nodes"):
        node = _json_node(row, "id", place)
        _add_node(network, node, _json_attributes(row, node))
    for place, row in _rows(document, "edges" if "edges" in document else "links"):
        tail, head = _json_node(row, "source", place), _json_node(row, "target", place)
        _add_edge(network, tail, head, _json_attributes(row, tail, head))
    return network


def _json_attributes(attributes: dict[str, Any], *key: Any) -> dict[str, Any]:
    return _converted(lambda _, value: _from_json(value), attributes, *key)


def _parse_json(text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
            message = f"an object has the key {_show(twice)} twice"
            raise _FormatError(message)
        return result

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        message = f"not valid JSON: {error.msg}"
        raise _FormatError(message, error.lineno) from error
    except ValueError as error:  # the interpreter's limit on the digits of an int
        message = "a number has more digits than Python reads"
        raise _FormatError(message) from error


def _rows(document: dict[str, Any], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a list, each with its place for messages."""
    rows = document.get(name)
    if not isinstance(rows, list):
        message = f'"{"edges" if name == "links" else name}" must be a list, got {_show(rows)}'
        raise _FormatError(message)
    for k, row in enumerate(rows):
        if not isinstance(row, dict):
            message = f"{name}[{k}] must be an object, got {_show(row)}"
            raise _FormatError(message)
        yield f"{name}[{k}]", row


def _json_node(row: dict[str, Any], end: str, place: str) -> Any:
    spelled = row.pop(end, None)
    try:
        node = _from_json(spelled)
        hash(node)
    except (TypeError, _FormatError):  # an object or a NaN inside
        node = None
    if node is None:
        message = f'{place} has {_show(spelled)} as "{end}"; it must be text, a finite number, a bool or a list of them'
        raise _FormatError(message)
    return node


# ---- CSV edge list -------------------------------------------------------------------------------------------------


def _csv_value(text: str) -> Scalar:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if _NUMBER.match(text) or _NOT_FINITE.match(text):
        return _number(text)
    return text


def _spell_csv(value: Any) -> str:
    plain = _scalar(value)
    if type(plain) is not str:
        return str(plain).lower() if type(plain) is bool else repr(plain)
    if not plain or plain.lower() in ("true", "false") or _NUMBER.match(plain) or _NOT_FINITE.match(plain):
        message = f"the text {plain!r} would not be read back as text; write to .json"
        raise _FormatError(message)
    return _csv_text(plain)


def _csv_text(text: str) -> str:
    if text != text.strip() or not text or len(text) > csv.field_size_limit():
        message = (
            f"{_show(text)} is empty, too long, or has blanks at its ends, which CSV does not keep; write to .json"
        )
        raise _FormatError(message)
    return text


def _write_csv(network: nx.DiGraph[Any]) -> str:
    _check_csv_holds(network)
    names = _spelled_nodes(network, lambda node: _csv_text(_spell_name(node)))
    columns = {"weight": None}
    rows: list[tuple[Any, Any, dict[str, str]]] = []

    def convert(name: str, value: Any) -> str:
        if name in ("source", "target"):
            message = "CSV uses this name itself; rename the attribute, or write to .json"
            raise _FormatError(message)
        columns[_csv_text(name)] = None
        return _spell_csv(value)

    for tail, head in _ordered_edges(network):
        rows.append((tail, head, _converted(convert, network.edges[tail, head], tail, head)))
    lines = [["source", "target", *columns]]
    lines += [[names[tail], names[head], *(row.get(name, "") for name in columns)] for tail, head, row in rows]
    return "".join(",".join(map(_quote, line)) + "\n" for line in lines)


def _quote(text: str) -> str:
    # By hand, since Python before 3.13 leaves a lone carriage return unquoted.
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\r\n') else text


def _check_csv_holds(network: nx.DiGraph[Any]) -> None:
    """Refuse attributes of the network and of nodes, and isolated nodes: an edge list has no place for them."""
    owners = [((), network.graph), *(((node,), data) for node, data in network.nodes.items())]
    for key, attributes in owners:
        for name, value in attributes.items():
            message = f"{_owner(*key)}, attribute {_show(name)}: {_show(value)} has no place in CSV; write to .json"
            raise _FormatError(message)
    for node in nx.isolates(network):
        message = f"{_owner(node)} has no edges, so it has no place in CSV; write to .json, or remove it"
        raise _FormatError(message)


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
            message = f"CSV cannot keep the order of inputs and outputs around {_owner(*waiting[0])}; write to .json"
            raise _FormatError(message)
        pending = waiting


def _read_csv(text: str) -> nx.DiGraph[Any]:
    network: nx.DiGraph[Any] = nx.DiGraph()
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(rows)]
        _check_header(header)
        for row in rows:
            if row:
                _read_row(network, header, [value.strip() for value in row], rows.line_num)
    except csv.Error as error:
        message = f"not valid CSV: {error}"
        raise _FormatError(message, rows.line_num) from error
    return network


def _check_header(header: list[str]) -> None:
    missing = [name for name in ("source", "target", "weight") if name not in header]
    if missing:
        message = f"no column {missing[0]!r}; the first line must be source,target,weight, it has {_show(header)}"
        raise _FormatError(message, 1)
    if len(set(header)) != len(header) or "" in header:
        message = f"columns need distinct names, got {_show(header)}"
        raise _FormatError(message, 1)


def _read_row(network: nx.DiGraph[Any], header: list[str], row: list[str], line: int) -> None:
    if len(row) != len(header):
        message = f"{len(row)} fields where the header has {len(header)}"
        raise _FormatError(message, line)
    fields = dict(zip(header, row, strict=True))
    try:
        ends = [_name(fields.pop(end)) for end in ("source", "target")]
        if "" in ends:
            message = "an edge needs a source and a target"
            raise _FormatError(message)
        given = {name: value for name, value in fields.items() if value}
        attributes = _converted(lambda _, value: _csv_value(value), given, *ends)
    except _FormatError as refusal:
        refusal.within("", line)
        raise
    network.add_nodes_from(ends)
    _add_edge(network, ends[0], ends[1], attributes, line)


# ---- GraphML -------------------------------------------------------------------------------------------------------

_SPELLED_TYPES = {bool: "boolean", int: "long", float: "double", str: "string"}


def _write_graphml(network: nx.DiGraph[Any]) -> str:
    keys: dict[tuple[str, str, str], str] = {}

    def data(scope: str, attributes: Mapping[Any, Any], *key: Any) -> str:
        """The data elements of one owner; declares the keys they need."""
        lines = []
        for name, (kind, text) in _converted(_spell_graphml, attributes, *key).items():
            identity = keys.setdefault((scope, name, kind), f"d{len(keys)}")
            lines.append(f'<data key="{identity}">{escape(text, {chr(13): "&#13;"})}</data>')
        return "".join(lines)

    names = {node: quoteattr(text) for node, text in _spelled_nodes(network, _graphml_name).items()}
    body = [data("graph", network.graph)]
    body += [f"<node id={names[node]}>{data('node', values, node)}</node>" for node, values in network.nodes.items()]
    for tail, head, values in network.edges(data=True):
        inside = data("edge", values, tail, head)
        body.append(f"<edge source={names[tail]} target={names[head]}>{inside}</edge>")
    declared = [
        f'<key id="{identity}" for="{scope}" attr.name={quoteattr(name)} attr.type="{kind}"/>'
        for (scope, name, kind), identity in keys.items()
    ]
    start = ['<?xml version="1.0" encoding="utf-8"?>', f'<graphml xmlns="{_GRAPHML}">']
    return "\n".join(
        [*start, *declared, '<graph edgedefault="directed">', *filter(None, body), "</graph>", "</graphml>", ""]
    )


def _spell_graphml(name: str, value: Any) -> tuple[str, str]:
    """Its type in GraphML, and its text."""
    _xml_text(name)
    plain = _scalar(value)
    if type(plain) is int and not -(2**63) <= plain < 2**63:
        message = f"{_show(plain)} is beyond the 64 bits of a GraphML long; write to .json"
        raise _FormatError(message)
    text = str(plain).lower() if type(plain) is bool else str(plain)
    return _SPELLED_TYPES[type(plain)], _xml_text(text)


def _graphml_name(node: Any) -> str:
    return _xml_text(_spell_name(node))


def _xml_text(text: str) -> str:
    if _NOT_XML.search(text):
        message = f"{_show(text)} has a character that XML cannot hold; rename it, or write to .json"
        raise _FormatError(message)
    return text


@dataclass
class _Element:
    """An XML element with its line, which xml.etree does not keep."""

    tag: str
    attributes: dict[str, str]
    line: int
    texts: list[str] = field(default_factory=list)
    children: list[_Element] = field(default_factory=list)

    def get(self, name: str) -> str:
        if name not in self.attributes:
            message = f"<{self.tag}> has no {name}"
            raise _FormatError(message, self.line)
        return self.attributes[name]


def _parse_xml(text: str) -> _Element:
    parser = expat.ParserCreate("utf-8", "}")
    parser.buffer_text = True
    stack = [_Element("", {}, 0)]

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(stack) > 100:
            message = "elements are nested too deeply to be a network"
            raise _FormatError(message, parser.CurrentLineNumber)
        element = _Element(tag.rpartition("}")[2], attributes, parser.CurrentLineNumber)
        stack[-1].children.append(element)
        stack.append(element)

    def characters(text: str) -> None:
        stack[-1].texts.append(text)

    def doctype(*_: object) -> None:
        # Entities (expansion bombs, files from elsewhere) need a DOCTYPE, GraphML does not.
        message = "a DOCTYPE is not accepted; remove it"
        raise _FormatError(message, parser.CurrentLineNumber)

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: stack.pop()
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        message = f"not valid XML: {expat.ErrorString(error.code)}"
        raise _FormatError(message, error.lineno) from error
    return stack[0].children[0]


class _Key(NamedTuple):
    """A declared attribute: its name (None: graphics of an editor, skipped), type, scope and default."""

    name: str | None
    kind: str
    scope: str
    default: _Element | None


def _read_graphml(text: str) -> nx.DiGraph[Any]:
    root = _parse_xml(text)
    graphs = [child for child in root.children if child.tag == "graph"]
    if root.tag != "graphml" or len(graphs) != 1:
        message = f"a network is one <graph> in <graphml>, got {len(graphs)} in <{root.tag}>"
        raise _FormatError(message, root.line)
    graph = graphs[0]
    if graph.attributes.get("edgedefault") != "directed":
        message = 'the graph is undirected; a network has edgedefault="directed"'
        raise _FormatError(message, graph.line)
    keys = {child.get("id"): _read_key(child) for child in root.children if child.tag == "key"}
    network: nx.DiGraph[Any] = nx.DiGraph()
    network.graph.update(_graphml_attributes(graph, keys, allowed=("data", "desc", "node", "edge")))
    for element in graph.children:
        if element.tag == "node":
            node = _end(element, "id")
            _add_node(network, node, _owned_attributes(element, keys, node), element.line)
    for element in graph.children:
        if element.tag == "edge":
            if element.attributes.get("directed", "true") != "true":
                message = "an undirected edge; a network is directed"
                raise _FormatError(message, element.line)
            tail, head = _end(element, "source"), _end(element, "target")
            _add_edge(network, tail, head, _owned_attributes(element, keys, tail, head), element.line)
    return network


def _read_key(element: _Element) -> _Key:
    kind, scope = element.attributes.get("attr.type", "string"), element.attributes.get("for", "all")
    default = next((child for child in element.children if child.tag == "default"), None)
    key = _Key(element.attributes.get("attr.name"), kind, scope, default)
    if default is not None:
        _graphml_value(key, default)
    return key


def _end(element: _Element, name: str) -> str | int:
    try:
        return _name(element.get(name))
    except _FormatError as refusal:
        refusal.within("", element.line)
        raise


def _owned_attributes(element: _Element, keys: Mapping[str, _Key], *key: Any) -> dict[str, Any]:
    try:
        return _graphml_attributes(element, keys)
    except _FormatError as refusal:
        refusal.within(f"{_owner(*key)}: ")
        raise


def _graphml_attributes(
    element: _Element, keys: Mapping[str, _Key], allowed: Iterable[str] = ("data", "desc")
) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for child in element.children:
        if child.tag not in allowed:
            message = f"<{child.tag}> in <{element.tag}> is not part of a network"
            raise _FormatError(message, child.line)
        if child.tag != "data":
            continue
        key = keys.get(child.get("key"))
        if key is None:
            message = f"data with key {child.get('key')!r}, which no <key> declares"
            raise _FormatError(message, child.line)
        if key.name in attributes:
            message = f"attribute {key.name!r} is given twice"
            raise _FormatError(message, child.line)
        if key.name is not None:
            attributes[key.name] = _graphml_value(key, child)
    for key in keys.values():
        if key.default is not None and key.name is not None and key.scope in (element.tag, "all"):
            attributes.setdefault(key.name, _graphml_value(key, key.default))
    return attributes


def _graphml_value(key: _Key, element: _Element) -> Scalar:
    text = "".join(element.texts)
    try:
        return _graphml_scalar(key.kind, text)
    except _FormatError as refusal:
        refusal.within(f"attribute {key.name!r}: ", element.line)
        raise


def _graphml_scalar(kind: str, text: str) -> Scalar:
    if kind == "string":
        return text
    text = text.strip()
    if kind in ("float", "double"):
        return float(_number(text))
    if kind in ("int", "long") and _INTEGER.match(text):
        return _number(text)
    if kind == "boolean" and text.lower() in ("true", "false", "1", "0"):
        return text.lower() in ("true", "1")
    message = f"{_show(text)} is not of type {kind}"
    raise _FormatError(message)


# ---- formats by suffix ---------------------------------------------------------------------------------------------


class _Format(NamedTuple):
    read: Callable[[str], nx.DiGraph[Any]]
    write: Callable[[nx.DiGraph[Any]], str]


_FORMATS = {
    ".json": _Format(_read_json, _write_json),
    ".graphml": _Format(_read_graphml, _write_graphml),
    ".csv": _Format(_read_csv, _write_csv),
}


def _format(file: Path) -> _Format:
    suffix = file.suffix.lower()
    if suffix not in _FORMATS:
        message = f"the suffix {file.suffix!r} names no format; use {', '.join(_FORMATS)}"
        raise _FormatError(message)
    return _FORMATS[suffix]
