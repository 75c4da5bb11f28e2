"""``compare FILE FILE``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import balance_graph as bg
from balance_graph.cli._answer import DONE, NO, Answer
from balance_graph.cli._options import FORMATS, add_command, add_ignore, add_reading, read_file, weight_name

if TYPE_CHECKING:
    import networkx as nx


def add_compare(commands: Any) -> None:
    """The sub-command."""
    text = "tell whether two networks are the same up to scaling, and where they differ"
    command = add_command(commands, "compare", _compare, text, "files, equivalent, tol, difference")
    command.add_argument("files", metavar="FILE", nargs=2, help=f"networks: {FORMATS}")
    command.add_argument("--tol", type=float, default=1e-9, help="in the logarithm of a weight (default: 1e-9)")
    add_reading(command)
    add_ignore(command)


def _compare(arguments: argparse.Namespace) -> Answer:
    from balance_graph.graph.constraints import without_attributes

    weight = weight_name(arguments)
    files = (read_file(arguments, file) for file in arguments.files)
    one, two = (without_attributes(network, arguments.ignore) for network in files)
    same = bg.equivalent(one, two, tol=arguments.tol, weight=weight)
    difference = None if same else _first_difference(one, two, weight)
    document = {"files": list(arguments.files), "equivalent": same, "tol": arguments.tol, "difference": difference}
    verdict = "equivalent: the same up to scaling" if same else f"not equivalent: {difference}"
    return DONE if same else NO, document, [verdict]


# ---- where two networks part ---------------------------------------------------------------------------------------


def _first_difference(one: nx.DiGraph[Any], two: nx.DiGraph[Any], weight: str) -> str:
    """Where two networks that are not equivalent part: nodes, edges, what can be scaled, signs, weights."""
    return (
        _missing(one, two)
        or _node_difference(one, two, weight)
        or _sign_difference(one, two, weight)
        or _constraint_difference(one, two, weight)
        or _weight_difference(one, two, weight)
    )


def _missing(one: nx.DiGraph[Any], two: nx.DiGraph[Any]) -> str:
    for mine, theirs, noun in ((one.nodes, two.nodes, "node"), (one.edges, two.edges, "edge")):
        for here, there, name in ((mine, theirs, "first"), (theirs, mine, "second")):
            missing = [item for item in here if item not in there]
            if missing:
                return f"{noun} {missing[0]!r} is in the {name} network only ({len(missing)} such)"
    return ""


def _node_difference(one: nx.DiGraph[Any], two: nx.DiGraph[Any], weight: str) -> str:
    kinds = [_node_kinds(network, weight) for network in (one, two)]
    for node in one:
        if kinds[0][node] != kinds[1][node]:
            return f"node {node!r} is {kinds[0][node]} against {kinds[1][node]}"
    return ""


def _node_kinds(network: nx.DiGraph[Any], weight: str) -> dict[Hashable, str]:
    at = bg.compile_graph(network, weight=weight).manifold
    pairs = zip(at.pinned.tolist(), at.degree.tolist(), strict=True)
    kinds = ["pinned" if pinned else f"free of degree {degree:g}" for pinned, degree in pairs]
    return dict(zip(network, kinds, strict=True))


def _sign_difference(one: nx.DiGraph[Any], two: nx.DiGraph[Any], weight: str) -> str:
    import numpy as np

    for edge in one.edges:
        value, other = one.edges[edge][weight], two.edges[edge][weight]
        if np.sign(value) != np.sign(other):
            return f"edge {edge!r} has weight {value!r} against {other!r}; scaling keeps signs"
    return ""


def _constraint_difference(one: nx.DiGraph[Any], two: nx.DiGraph[Any], weight: str) -> str:
    """First node or edge with other companions: nodes tied with it, edges that share its parameter; or fixed."""
    edges = list(_active_part(one, weight).edges)
    for name, noun, members in (("group", "node", list(one)), ("shared", "edge", edges), ("fixed", "edge", edges)):
        before, after = (_companions(network, name, noun, members) for network in (one, two))
        for item in members:
            if before[item] != after[item]:
                return f"{noun} {item!r} differs in {name!r}: not the same constraint"
    return ""


def _companions(network: nx.DiGraph[Any], name: str, noun: str, members: list[Any]) -> dict[Any, Any]:
    """First member with the same label (labels may differ); for fixed, whether it is."""
    owners: Any = network.nodes if noun == "node" else network.edges
    labels = {item: owners[item].get(name) for item in members}
    if name == "fixed":
        return {item: bool(label) for item, label in labels.items()}
    first: dict[Any, Any] = {}
    return {item: item if label is None else first.setdefault(label, item) for item, label in labels.items()}


def _weight_difference(one: nx.DiGraph[Any], two: nx.DiGraph[Any], weight: str) -> str:
    """The edge whose ratio of weights is furthest from what a scaling can do."""
    import numpy as np

    manifold = bg.manifold(_active_part(one, weight), weight=weight)
    pairs = [(one.edges[edge][weight], two.edges[edge][weight]) for edge in manifold.edges]
    log_ratios = np.array([math.log(abs(other)) - math.log(abs(mine)) for mine, other in pairs])
    left = np.abs(log_ratios - manifold.project(log_ratios))
    furthest = int(np.argmax(left))
    mine, other = pairs[furthest]
    return (
        f"the weights differ by more than a scaling, most at edge {manifold.edges[furthest]!r}: {mine!r} against "
        f"{other!r}, a factor of {math.exp(min(float(left.max()), 700.0)):.12g} from the nearest scaling"
    )


def _active_part(network: nx.DiGraph[Any], weight: str) -> nx.DiGraph[Any]:
    """The network without edges of weight zero, which constrain nothing; roles as they were with them."""
    import networkx as nx

    from balance_graph.graph.compilation import roles_of

    part = network.copy()
    nx.set_node_attributes(part, roles_of(network), "role")
    part.remove_edges_from([edge for edge in network.edges if network.edges[edge][weight] == 0])
    return part
