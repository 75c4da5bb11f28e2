r"""Networks in files: node-link JSON, GraphML, edge list as CSV or TSV, chosen by the suffix of the path.

Writing loses nothing: reading the file gives back the same nodes and attributes with the same types, and the same
floats to the last bit. What a format cannot hold is refused, with the node or edge, the value and the remedy, before
anything is written.

====================  ============================  ====================================  ============================
suffix                nodes                         attributes                            order of nodes
====================  ============================  ====================================  ============================
``.json``             text, numbers, bools, tuples  the same, None, and dicts of them     kept
``.graphml``          text, ints                    text, numbers, bools                  kept
``.csv``, ``.tsv``    text, ints; none isolated     of edges only: text, numbers, bools   inputs, outputs keep theirs
====================  ============================  ====================================  ============================

- Numbers of numpy, `Decimal` and `Fraction` are written as the float or int of the same value, and refused where there
  is none. Numbers must be finite, and one that is not zero must not be zero as a float.
- JSON arrays are tuples on both sides (nodes, ``group`` and ``shared`` must be hashable), so lists are refused.
- In CSV and GraphML a node spelled like an integer (``-?[1-9][0-9]*|0``) is an int, unless it is marked as text: in CSV
  by quotes, where not everything is in quotes; in GraphML by an attribute of its element, ``name="text"`` in the
  namespace ``urn:balance_graph``.
- In CSV an empty field is an absent attribute; ``true``, ``false`` and numbers are read as such, all else as text.
- An `Activation` is written as its name, and read as text, when that name means the same function here; an activation
  made by the user is refused unless `balance_graph.register_activation` knows it.

Files of others are read where they say what they mean; whatever was taken for something that the file does not spell
out (a column, a delimiter, weights of 1), or skipped, is said in one `NetworkFileWarning`.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx

from balance_graph._choices import did_you_mean
from balance_graph.errors import InvalidParameterError, NetworkFileError, NetworkFileWarning
from balance_graph.graph.files._builder import check_network
from balance_graph.graph.files._csv import read_csv, write_csv
from balance_graph.graph.files._graphml import read_graphml, write_graphml
from balance_graph.graph.files._json import read_json, write_json
from balance_graph.graph.files._refusal import FormatError, refuse
from balance_graph.graph.files._request import Request, checked_request
from balance_graph.graph.files.draft import draft_of

__all__ = ["read_network", "write_network"]


def read_network(
    path: str | os.PathLike[str],
    *,
    weight: str | int = "weight",
    source: str | int | None = None,
    target: str | int | None = None,
    delimiter: str | None = None,
) -> nx.DiGraph[Any]:
    r"""Read a network from a ``.json`` (node-link), ``.graphml``, ``.csv`` or ``.tsv`` (edge list) file.

    Parameters
    ----------
    path : str or path-like
        The file, UTF-8 text. JSON: as `networkx.node_link_data` writes it, edges under ``"edges"`` or ``"links"``, and
        ``"directed": true``. CSV: one edge per row; further columns are attributes of edges.
    weight : str or int
        Name of the weight attribute, in CSV of its column; or the number of the column, from 1, in a file without a
        header: then the attribute is ``"weight"``.
    source, target : str or int, optional
        The columns (in JSON the keys) of the two ends of an edge, by name, or by number in a file without a header. By
        default those called source and target, in any case, or from and to, tail and head, src and dst, pre and post;
        without a header the first two.
    delimiter : str, optional
        One character between the fields of an edge list, ``"tab"``, or ``" "`` for any blanks. By default the one of
        comma, semicolon, tab, bar and blanks that gives every row as many fields.

    Returns
    -------
    networkx.DiGraph
        With a finite number as `weight` on every edge. Roles and activations are read, not judged.

    Raises
    ------
    NetworkFileError
        If the file is missing, has another suffix, is damaged, or is not a directed network with at most one edge
        from one node to another and finite weights; or if it could be read in more than one way. The message is one
        line with the file and, where known, the line, and the option or reader that helps.
    InvalidParameterError
        If an option is no name, number or character, or does not apply to this format.

    Warns
    -----
    NetworkFileWarning
        One line that says what was taken for what (columns of other names or without names, the delimiter, weights of
        1 where there are none) and what was skipped (comments, numbers of rows, graphics of an editor). Options that
        name the columns and the delimiter leave nothing to say.

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
    network, notes = read_with_notes(path, weight=weight, source=source, target=target, delimiter=delimiter)
    if notes:
        warnings.warn(f"{_printable(_path(path))}: {notes}", NetworkFileWarning, stacklevel=2)
    return network


def read_with_notes(path: str | os.PathLike[str], **options: Any) -> tuple[nx.DiGraph[Any], str]:
    """The network that `read_network` reads with the same options, and what it would warn of, or no text."""
    request = checked_request(**options)
    file = _path(path)
    notes: list[str] = []
    with _refusals(file, "read"):
        kind = _format(file)
        _check_applies(request, file.suffix.lower())
        network = kind.read(_text(file), request, notes)
    return network, "; ".join(notes)


def _check_applies(request: Request, suffix: str) -> None:
    """Refuse options that say nothing about a format."""
    if suffix in (".csv", ".tsv"):
        return
    names = ("delimiter",) if suffix == ".json" else ("delimiter", "source", "target")
    for name in (*names, *(("source",) if request.numbers else ())):
        value = getattr(request, name)
        if value is not None:
            message = f"{name}={value!r} is about columns, of which a {suffix} file has none"
            raise InvalidParameterError(message)


def write_network(G: nx.DiGraph[Any], path: str | os.PathLike[str], *, weight: str = "weight") -> None:  # noqa: N803
    """Write a network to a ``.json``, ``.graphml``, ``.csv`` or ``.tsv`` file, without loss or not at all.

    The file appears whole: it is written beside its place and moved there in one step, so an interruption leaves what
    was there before.

    Parameters
    ----------
    G : networkx.DiGraph
        The network, with a finite number as `weight` on every edge.
    path : str or path-like
        The file; an existing one is replaced.
    weight : str
        Name of the weight attribute, in CSV of its column.

    Returns
    -------
    None

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
    >>> G = bg.networks.layered([2, 3, 1], rng=0)
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "layered.json"
    ...     bg.write_network(G, path)
    ...     H = bg.read_network(path)
    >>> list(H.nodes(data=True)) == list(G.nodes(data=True)) and list(H.edges(data=True)) == list(G.edges(data=True))
    True
    """
    file = _path(path)
    data = network_text(G, path, weight=weight).encode("utf-8")
    with _refusals(file, "written"):
        if not Path(os.path.realpath(file)).parent.is_dir():
            refuse("cannot be written: its folder does not exist; create it first")
        with draft_of(file) as draft, draft.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())


def network_text(G: nx.DiGraph[Any], path: str | os.PathLike[str], *, weight: str = "weight") -> str:  # noqa: N803
    """The text that `write_network` would put into the file; refuses what it would refuse, and writes nothing."""
    file = _path(path)
    with _refusals(file, "written"):
        kind = _format(file)
        check_network(G, weight)
        return kind.write(G, weight)


class _Format(NamedTuple):
    read: Callable[[str, Request, list[str]], nx.DiGraph[Any]]
    write: Callable[[nx.DiGraph[Any], str], str]


_FORMATS = {
    ".json": _Format(read_json, write_json),
    ".graphml": _Format(read_graphml, write_graphml),
    ".csv": _Format(read_csv, write_csv),
    ".tsv": _Format(partial(read_csv, delimiter="\t"), partial(write_csv, delimiter="\t")),
}
_EDGE_LIST = "an edge list is read as .csv, whatever separates its fields: rename the file"
_READS = "reads it: balance what it returns, or write that to .json first"
_REMEDIES = {
    **dict.fromkeys((".txt", ".dat", ".tab", ".edgelist", ".edges", ".ncol"), _EDGE_LIST),
    **dict.fromkeys((".gz", ".bz2", ".xz", ".zip", ".zst"), "unpack the file"),
    **dict.fromkeys((".xls", ".xlsx", ".ods"), "save the sheet as .csv"),
    **dict.fromkeys((".net", ".paj", ".pajek"), f"networkx.read_pajek {_READS}"),
    **dict.fromkeys((".dot", ".gv"), f"networkx.nx_pydot.read_dot {_READS}"),
    ".gexf": f"networkx.read_gexf {_READS}",
    ".gml": f"networkx.read_gml {_READS}",
    ".mtx": "scipy.io.mmread reads it, for BalanceProblem.from_sparse or networkx.from_scipy_sparse_array",
    ".cyjs": f"networkx.cytoscape_graph(json.load(file)) {_READS}",
    ".xml": "if it is GraphML, rename it to .graphml",
}


def _format(file: Path) -> _Format:
    suffix = file.suffix.lower()
    if suffix not in _FORMATS:
        remedy = f"; {_REMEDIES[suffix]}" if suffix in _REMEDIES else did_you_mean(suffix, _FORMATS)
        refuse(f"the suffix {file.suffix!r} names no format; use {', '.join(_FORMATS)}{remedy}")
    return _FORMATS[suffix]


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


def _printable(file: Path) -> str:
    return str(file) if str(file).isprintable() else repr(str(file))


def _text(file: Path) -> str:
    data = file.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        refuse(f"byte {error.object[error.start]:#04x} is not UTF-8 text; save the file as UTF-8", line)
    if not text.strip():
        refuse("the file is empty")
    return text


@contextlib.contextmanager
def _refusals(file: Path, done: str) -> Iterator[None]:
    """What goes wrong inside, as one `NetworkFileError` with the file and, where known, the line."""
    name = _printable(file)
    try:
        yield
    except FormatError as refusal:
        message = f"{name}, line {refusal.line}: {refusal}" if refusal.line else f"{name}: {refusal}"
        raise NetworkFileError(message) from refusal
    except RecursionError as error:
        itself = ", or contains itself" if done == "written" else ""
        message = f"{name}: cannot be {done}: nested too deeply{itself}"
        raise NetworkFileError(message) from error
    except OSError as error:
        message = f"{name}: cannot be {done}: {error.strerror or error}"
        raise NetworkFileError(message) from error
