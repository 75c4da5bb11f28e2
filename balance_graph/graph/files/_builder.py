"""A network as a file builds it, node by node and edge by edge, and the checks of one that is to be written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import networkx as nx

from balance_graph._arguments import VANISHES, is_real, nearest_float, vanishes
from balance_graph.errors import InvalidNetworkError
from balance_graph.graph.compilation import check_digraph
from balance_graph.graph.files._refusal import owner, refuse, show


class Builder:
    """The network so far; `weight` is the attribute that every edge must have."""

    def __init__(self, weight: str) -> None:
        self.network: nx.DiGraph[Any] = nx.DiGraph()
        self.weight = weight

    def add_node(self, node: Any, attributes: dict[str, Any], line: int | None = None) -> None:
        """Add a node that is new."""
        if node in self.network:
            refuse(f"{owner(node)} appears twice", line)
        self.network.add_nodes_from([(node, attributes)])  # keeps attributes whose names are parameters of add_node

    def add_edge(self, tail: Any, head: Any, attributes: dict[str, Any], line: int | None = None) -> None:
        """Add an edge that is new, with a weight, between nodes that are there."""
        for node in (tail, head):
            if node not in self.network:
                refuse(f"{owner(tail, head)}: there is no node {show(node)} in the file", line)
        if self.network.has_edge(tail, head):
            refuse(
                f"{owner(tail, head)} appears twice; a network has at most one edge from one node to another: "
                "add up their weights, they act as one",
                line,
            )
        _check_weight(attributes, self.weight, tail, head, line)
        self.network.add_edges_from([(tail, head, attributes)])


def check_network(network: Any, weight: str) -> None:
    """Refuse what is not a directed graph with a finite weight on every edge."""
    try:
        check_digraph(network)
    except InvalidNetworkError as error:
        refuse(f"cannot write a {type(network).__name__}; {error}; convert it first")
    for tail, head, attributes in network.edges(data=True):
        _check_weight(attributes, weight, tail, head)


def _check_weight(attributes: Mapping[str, Any], weight: str, tail: Any, head: Any, line: int | None = None) -> None:
    if weight not in attributes:
        refuse(f"{owner(tail, head)} has no weight; every edge needs {_weight_remedy(attributes, weight)}", line)
    value = attributes[weight]
    number = nearest_float(value) if is_real(value) else math.nan
    if not math.isfinite(number):
        refuse(f"{owner(tail, head)} has weight {show(value)}; a weight must be a finite number", line)
    if vanishes(value, number):
        refuse(f"{owner(tail, head)} has weight {show(value)}, which {VANISHES}; multiply all by one number", line)


def _weight_remedy(attributes: Mapping[str, Any], weight: str) -> str:
    """What is wanted, and what may be it."""
    numbers = [name for name, value in attributes.items() if is_real(value) and isinstance(name, str)]
    found = f"; did you mean {show(numbers[0])}? Then say weight={numbers[0]!r}" if numbers else ""
    return f"a finite number as attribute {show(weight)}{found}"
