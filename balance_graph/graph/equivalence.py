"""Whether two networks are the same up to scaling, and where they part if not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np

from balance_graph._arguments import check_positive
from balance_graph._floating_point import own_rules
from balance_graph._types import Array, Index, Mask
from balance_graph.graph.compilation import compile_graph, node_activation, roles_of
from balance_graph.problem.balance_problem import BalanceProblem
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

    Parameters
    ----------
    G, H : networkx.DiGraph
    regularizer : float or Regularizer
        Checked only.
    tol : float
        In the logarithm of a weight.
    weight : str
        Name of the weight attribute.

    Returns
    -------
    bool

    Raises
    ------
    InvalidNetworkError, InvalidParameterError
        For networks, regularizers and tolerances that are none.

    See Also
    --------
    difference : Where they part.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.layered([2, 3, 1], rng=0)
    >>> bg.equivalent(G, bg.balance(G, 1).graph), bg.equivalent(G, bg.networks.layered([2, 3, 1], rng=1))
    (True, False)
    """
    check_positive(tol, "tol")
    one, two = (compile_graph(network, regularizer, weight=weight) for network in (G, H))
    return _difference(G, H, one, two, tol, weight) is None


@own_rules
def difference(
    G: nx.DiGraph[Any],  # noqa: N803
    H: nx.DiGraph[Any],  # noqa: N803
    tol: float = 1e-9,
    *,
    weight: str = "weight",
) -> str | None:
    """Where two networks that are not the same up to scaling part, in words; None if they are.

    Looked at in this order: nodes and edges, roles and activations, constraints, signs, and the edge whose ratio of
    weights is furthest from what a scaling can do.

    Parameters
    ----------
    G, H : networkx.DiGraph
    tol : float
        In the logarithm of a weight.
    weight : str
        Name of the weight attribute.

    Returns
    -------
    str or None

    Raises
    ------
    InvalidNetworkError, InvalidParameterError
        For networks and tolerances that are none.

    See Also
    --------
    equivalent : The same question, answered by yes or no.

    Examples
    --------
    >>> import networkx as nx, balance_graph as bg
    >>> G = nx.DiGraph([("x", "h", {"weight": 2.0}), ("h", "y", {"weight": 3.0})])
    >>> print(bg.difference(G, bg.scale(G, {"h": 5.0})))
    None
    >>> H = nx.DiGraph([("x", "h", {"weight": 2.0}), ("h", "y", {"weight": -3.0})])
    >>> bg.difference(G, H)
    "edge ('h', 'y') has weight 3.0 against -3.0; scaling keeps signs"
    """
    check_positive(tol, "tol")
    one, two = (compile_graph(network, weight=weight) for network in (G, H))
    return _difference(G, H, one, two, tol, weight)


def _difference(
    G: nx.DiGraph[Any],  # noqa: N803
    H: nx.DiGraph[Any],  # noqa: N803
    one: BalanceProblem,
    two: BalanceProblem,
    tol: float,
    weight: str,
) -> str | None:
    missing = _missing(G, H)
    if missing:
        return missing
    if list(G) != list(H) or list(G.edges) != list(H.edges):
        H = _in_order_of(G, H)  # noqa: N806
        two = compile_graph(H, one.regularizer, weight=weight)
    weights = [np.array([data[weight] for _, _, data in network.edges(data=True)], dtype=float) for network in (G, H)]
    return (
        _kind_difference(one.manifold, two.manifold)
        or _function_difference(G, H)
        or _sign_difference(one.manifold, *weights)
        or _constraint_difference(one.manifold, two.manifold)
        or _weight_difference(one, two, tol, *weights)
    )


def _in_order_of(G: nx.DiGraph[Any], H: nx.DiGraph[Any]) -> nx.DiGraph[Any]:  # noqa: N803
    """H with its nodes and edges in the order of G."""
    ordered: nx.DiGraph[Any] = nx.DiGraph()
    ordered.add_nodes_from((node, H.nodes[node]) for node in G)
    ordered.add_edges_from((u, v, H.edges[u, v]) for u, v in G.edges)
    return ordered


def _missing(G: nx.DiGraph[Any], H: nx.DiGraph[Any]) -> str | None:  # noqa: N803
    for mine, theirs, noun in ((G.nodes, H.nodes, "node"), (G.edges, H.edges, "edge")):
        for here, there, name in ((mine, theirs, "first"), (theirs, mine, "second")):
            missing = [item for item in here if item not in there]
            if missing:
                return f"{noun} {missing[0]!r} is in the {name} network only ({len(missing)} such)"
    return None


def _kind_difference(one: Manifold, two: Manifold) -> str | None:
    """First node that is pinned in one network, or of another degree."""
    differ = np.flatnonzero((one.pinned != two.pinned) | (one.degree != two.degree))
    if differ.size == 0:
        return None
    kinds = ["pinned" if at.pinned[differ[0]] else f"free of degree {at.degree[differ[0]]:g}" for at in (one, two)]
    return f"node {one.nodes[differ[0]]!r} is {kinds[0]} against {kinds[1]}"


def _function_difference(G: nx.DiGraph[Any], H: nx.DiGraph[Any]) -> str | None:  # noqa: N803
    """First node of another role, or with an activation that differs (in name, and on a sample of values)."""
    roles, others = roles_of(G), roles_of(H)
    samples = np.concatenate([-np.geomspace(4.0, 0.1, 12), [0.0], np.geomspace(0.1, 4.0, 12)])
    for node, role in roles.items():
        if role != others[node]:
            return f"node {node!r} has role {role!r} against {others[node]!r}"
        if role in {"hidden", "output"}:
            one, two = node_activation(G.nodes[node], node), node_activation(H.nodes[node], node)
            if one.name != two.name and not np.array_equal(one(samples), two(samples)):
                return f"node {node!r} has activation {one.name!r} against {two.name!r}"
    return None


def _sign_difference(manifold: Manifold, mine: Array, theirs: Array) -> str | None:
    differ = np.flatnonzero(np.sign(mine) != np.sign(theirs))
    if differ.size == 0:
        return None
    (edge,), k = manifold.names_of(differ[:1]), differ[0]
    return f"edge {edge!r} has weight {float(mine[k])!r} against {float(theirs[k])!r}; scaling keeps signs"


def _constraint_difference(one: Manifold, two: Manifold) -> str | None:
    """First node or edge with other companions: nodes tied with it, edges that share its parameter; or fixed.

    Labels may differ. Edges of weight zero constrain nothing.
    """
    for name in ("group", "shared", "fixed"):
        size = one.n_nodes if name == "group" else one.n_edges
        mine, theirs = (_companions(getattr(at, name), size) for at in (one, two))
        differ = np.flatnonzero(mine != theirs)
        if differ.size:
            item = one.nodes[differ[0]] if name == "group" else one.names_of(differ[:1])[0]
            noun = "node" if name == "group" else "edge"
            return f"{noun} {item!r} differs in {name!r}: not the same constraint"
    return None


def _companions(labels: Any, size: int) -> Index | Mask:
    """For labels, the first place of the same label; flags as they are."""
    if labels is None:
        return np.zeros(size, dtype=bool)
    return labels if labels.dtype == bool else first_of_label(labels) - np.arange(size)


def _weight_difference(one: BalanceProblem, two: BalanceProblem, tol: float, mine: Array, theirs: Array) -> str | None:
    """The edge whose ratio of weights is furthest from what a scaling can do, if that is further than `tol`."""
    active = np.flatnonzero(one.active)
    manifold = one.manifold
    part = replace(
        manifold,
        tail=manifold.tail[active],
        head=manifold.head[active],
        fixed=None if manifold.fixed is None else manifold.fixed[active],
        shared=None if manifold.shared is None else manifold.shared[active],
    )
    log_gains = two.log_weight[active] - one.log_weight[active]
    left = np.abs(log_gains - part.project(log_gains))
    if left.max(initial=0.0) <= tol:
        return None
    furthest = int(np.argmax(left))
    (edge,), k = part.names_of(np.array([furthest])), active[furthest]
    return (
        f"the weights differ by more than a scaling, most at edge {edge!r}: {float(mine[k])!r} against "
        f"{float(theirs[k])!r}, a factor of {math.exp(min(float(left.max()), 700.0)):.12g} from the nearest scaling"
    )
