"""Nodes by their roles, and the edges between two layers of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np

from balance_graph._types import Array
from balance_graph.errors import InvalidNetworkError
from balance_graph.graph.activations import Activation

BIAS = "bias"


def network_of_inputs(names: Sequence[str], *, bias: bool) -> nx.DiGraph[Any]:
    """A new network with its inputs, and the bias node if asked for."""
    network: nx.DiGraph[Any] = nx.DiGraph()
    network.add_nodes_from(names, role="input")
    if bias:
        network.add_node(BIAS, role="bias")
    return network


def add_units(
    network: nx.DiGraph[Any], names: Sequence[str], role: str, activation: str | Activation, **attributes: Any
) -> None:
    """Add hidden units or outputs."""
    network.add_nodes_from(names, role=role, activation=activation, **attributes)


def connect(network: nx.DiGraph[Any], tails: Sequence[str], heads: Sequence[str], matrix: Array, origin: str) -> None:
    """Add the edges of ``matrix[tail, head]``, zeros included; `origin` names the matrix in messages."""
    if not np.isfinite(matrix).all():
        row, column = (int(k) for k in np.argwhere(~np.isfinite(matrix))[0])
        edge, value = f"{tails[row]} -> {heads[column]}", float(matrix[row, column])
        message = f"{origin} holds {value} on edge {edge}; every weight and bias must be a finite number"
        raise InvalidNetworkError(message)
    for tail, row_weights in zip(tails, matrix.tolist(), strict=True):
        network.add_weighted_edges_from(zip(itertools.repeat(tail), heads, row_weights))
