"""Operations on a network: scaling, and balancing one node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np

from balance_graph._arguments import check_positive
from balance_graph._choices import did_you_mean
from balance_graph._floating_point import own_rules
from balance_graph.errors import InvalidParameterError, NotAttainedError, UnsupportedError
from balance_graph.graph.compilation import Node, compile_graph, node_activation, node_role, scaled_graph
from balance_graph.problem.log_domain import exp_or_inf
from balance_graph.problem.regularizers import Regularizer
from balance_graph.solvers.conductor import solve
from balance_graph.solvers.newton import NewtonSolver


@own_rules
def scale(
    G: nx.DiGraph[Any],  # noqa: N803
    scales: Mapping[Node, float],
    *,
    weight: str = "weight",
) -> nx.DiGraph[Any]:
    """Scale free nodes: in-weights times s, out-weights times ``s**-c``. The network computes the same function.

    Parameters
    ----------
    G : networkx.DiGraph
    scales : dict
        Positive scale of any number of free nodes; tied nodes need equal scales, all of them given.
    weight : str
        Name of the weight attribute.

    Returns
    -------
    networkx.DiGraph
        A new graph.

    Raises
    ------
    InvalidParameterError
        If a node is unknown or not free, a scale is not positive and finite, a constraint would break, or a weight
        would leave the range of floats.

    See Also
    --------
    balance_node : The scale that balances a node.
    balance : All of them.

    Examples
    --------
    >>> import networkx as nx, balance_graph as bg
    >>> G = nx.DiGraph([("x", "h", {"weight": 8.0}), ("h", "y", {"weight": 2.0})])
    >>> bg.scale(G, {"h": 0.5}).edges(data="weight")
    OutEdgeDataView([('x', 'h', 4.0), ('h', 'y', 4.0)])
    """
    problem = compile_graph(G, weight=weight)
    manifold, index = problem.manifold, {node: k for k, node in enumerate(problem.nodes)}
    log_scales = problem.unscaled
    if not isinstance(scales, Mapping):
        message = f"scale: scales must be a dict of node and positive scale, got {scales!r}"
        raise InvalidParameterError(message)
    for node, value in scales.items():
        if node not in index:
            message = f"scale: {node!r} is not a node of the network{did_you_mean(node, problem.nodes)}"
            raise InvalidParameterError(message)
        if manifold.pinned[index[node]]:
            message = f"scale: node {node!r} is not free: {_why_pinned(G, node)}"
            raise InvalidParameterError(message)
        log_scales[index[node]] = np.log(check_positive(value, f"scale of node {node!r}"))
    if not manifold.obeys(log_scales):
        message = "scale: these scales break a tie, a fixed edge or a shared weight; scale tied nodes together"
        raise InvalidParameterError(message)
    try:
        return scaled_graph(G, problem, log_scales, weight=weight)
    except UnsupportedError as error:
        message = f"scale: {error}"
        raise InvalidParameterError(message) from error


def _why_pinned(G: nx.DiGraph[Any], node: Node) -> str:  # noqa: N803
    role = node_role(G.nodes[node], node, G.in_degree(node), G.out_degree(node))
    if role != "hidden":
        return f"its role is {role!r}"
    return f"its activation {node_activation(G.nodes[node], node)} is not homogeneous"


@own_rules
def balance_node(
    G: nx.DiGraph[Any],  # noqa: N803
    node: Node,
    regularizer: float | Regularizer = 2.0,
    *,
    weight: str = "weight",
) -> tuple[nx.DiGraph[Any], float]:
    """Balance one free node (with the nodes tied to it): the local operation.

    Parameters
    ----------
    G : networkx.DiGraph
        Not modified.
    node : node
        A free node.
    regularizer : float or Regularizer
        Cost of a weight.
    weight : str
        Name of the weight attribute.

    Returns
    -------
    graph : networkx.DiGraph
        A new graph with that node balanced.
    s : float
        The scale: the unique minimizer of the cost along it. For L_p without self-loop ``s**(p (1 + c)) = c out / in``.

    Raises
    ------
    InvalidParameterError
        If the node is unknown or not free.
    NotAttainedError
        If the node has weights on one side only.
    UnsupportedError
        If a fixed edge or shared weight does not let the node move alone.

    See Also
    --------
    balance : All nodes at once.
    scale : Scaling by factors of your own.

    Examples
    --------
    >>> import networkx as nx, balance_graph as bg
    >>> G = nx.DiGraph([("x", "h", {"weight": 8.0}), ("h", "y", {"weight": 2.0})])
    >>> round(bg.balance_node(G, "h", 1)[1], 12)
    0.5
    """
    problem = compile_graph(G, regularizer, weight=weight)
    manifold = problem.manifold
    if node not in G:
        message = f"balance_node: {node!r} is not a node of the network{did_you_mean(node, G)}"
        raise InvalidParameterError(message)
    k = list(problem.nodes).index(node)
    if manifold.pinned[k]:
        message = f"balance_node: node {node!r} is not free: {_why_pinned(G, node)}"
        raise InvalidParameterError(message)
    moving = np.zeros(problem.n_nodes, dtype=bool)
    moving[k] = True
    if manifold.coordinate[k] >= 0:
        moving = manifold.coordinate == manifold.coordinate[k]
    alone = replace(manifold, pinned=~moving)
    if alone.reduced_incidence.shape[1] == 0:
        message = f"balance_node: a fixed edge or shared weight holds node {node!r}, so it cannot be scaled alone"
        raise UnsupportedError(message)
    problem_alone = replace(problem, manifold=alone)
    try:
        solution = solve(problem_alone, NewtonSolver())
    except NotAttainedError as error:
        message = (
            f"balance_node: the weights of node {node!r} can shrink for ever, since none on the other side grows; give "
            "it edges of nonzero weight on both sides, or remove it"
        )
        raise NotAttainedError(message, nodes=error.nodes, edges=error.edges) from error
    s = exp_or_inf(float(solution.log_scales[k]))
    return scaled_graph(G, problem, solution.log_scales, weight=weight), s
