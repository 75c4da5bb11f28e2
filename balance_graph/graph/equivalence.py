"""Whether two networks are the same up to scaling."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np

from balance_graph._arguments import check_positive
from balance_graph._floating_point import own_rules
from balance_graph._types import Array
from balance_graph.graph.compilation import compile_graph, node_activation, roles_of
from balance_graph.problem.manifold import Manifold, first_of_label
from balance_graph.problem.regularizers import Regularizer


@own_rules
def equivalent(
    G: nx.DiGraph[Any],  # noqa: N803
    H: nx.DiGraph[Any],  # noqa: N803
    regularizer: float | Regularizer = 2.0,
    tol: float = 1e-9,
    *,
    weight: str = "weight",
) -> bool:
    """Whether two networks on the same nodes are the same up to scaling.

    They are if they have the same edges, roles, activations and constraints, weights of the same signs, and log-ratios
    of weights on the linear manifold, up to `tol` in the logarithm of a weight. Nothing needs to be solved, and the
    answer does not depend on the regularizer, which is only checked.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([2, 3, 1], rng=0)
    >>> bg.equivalent(G, bg.balance(G, 1).graph), bg.equivalent(G, bg.networks.layered([2, 3, 1], rng=1))
    (True, False)
    """
    check_positive(tol, "tol")
    one = compile_graph(G, regularizer, weight=weight)
    compile_graph(H, regularizer, weight=weight)
    if set(G) != set(H) or set(G.edges) != set(H.edges) or not _same_nodes(G, H):
        return False
    ordered: nx.DiGraph[Any] = nx.DiGraph()
    ordered.add_nodes_from((node, H.nodes[node]) for node in G)
    ordered.add_edges_from((u, v, H.edges[u, v]) for u, v in G.edges)
    two = compile_graph(ordered, regularizer, weight=weight)
    signs = np.sign(_weights(G, weight)), np.sign(_weights(ordered, weight))
    if not _same_architecture(one.manifold, two.manifold) or not np.array_equal(*signs):
        return False
    active = np.flatnonzero(one.active)
    part = replace(
        one.manifold,
        tail=one.manifold.tail[active],
        head=one.manifold.head[active],
        fixed=None if one.manifold.fixed is None else one.manifold.fixed[active],
        shared=None if one.manifold.shared is None else one.manifold.shared[active],
    )
    log_gains = two.log_weight[active] - one.log_weight[active]
    return bool(np.abs(log_gains - part.project(log_gains)).max(initial=0.0) <= tol)


def _same_nodes(G: nx.DiGraph[Any], H: nx.DiGraph[Any]) -> bool:  # noqa: N803
    """Same roles, and activations that agree (in name, or on a sample of values) wherever one is applied."""
    roles = roles_of(G)
    if roles != roles_of(H):
        return False
    samples = np.concatenate([-np.geomspace(4.0, 0.1, 12), [0.0], np.geomspace(0.1, 4.0, 12)])
    for node, role in roles.items():
        if role in {"hidden", "output"}:
            one, two = node_activation(G.nodes[node], node), node_activation(H.nodes[node], node)
            if one.name != two.name and not np.array_equal(one(samples), two(samples)):
                return False
    return True


def _weights(G: nx.DiGraph[Any], weight: str) -> Array:  # noqa: N803
    return np.array([data[weight] for _, _, data in G.edges(data=True)], dtype=float)


def _same_architecture(one: Manifold, two: Manifold) -> bool:
    """Same pinned nodes, degrees, fixed edges, ties and shared edges; labels may differ."""

    def partition(labels: Any, size: int) -> Any:
        return np.arange(size) if labels is None else first_of_label(labels)

    def flags(fixed: Any) -> Any:
        return np.zeros(one.n_edges, dtype=bool) if fixed is None else fixed

    return (
        np.array_equal(one.pinned, two.pinned)
        and np.array_equal(one.degree, two.degree)
        and np.array_equal(flags(one.fixed), flags(two.fixed))
        and np.array_equal(partition(one.group, one.n_nodes), partition(two.group, two.n_nodes))
        and np.array_equal(partition(one.shared, one.n_edges), partition(two.shared, two.n_edges))
    )
