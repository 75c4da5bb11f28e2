"""What attributes of a network hold, tie, or cost in another way: named, and left out on request.

Files of other programs use the same words for other things (``group`` for a color, say), so attributes may hold more
of a network than its owner knows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np

from balance_graph.graph.attribute_names import EDGE_ATTRIBUTES, NODE_ATTRIBUTES, checked_names
from balance_graph.problem.balance_problem import BalanceProblem


@dataclass(frozen=True)
class Constraint:
    """What one attribute does to a network.

    Attributes
    ----------
    attribute : str
        Its name.
    count : int
        How many nodes or edges it does that to.
    effect : str
        What it does, in words that follow the name.

    See Also
    --------
    BalanceResult : Lists those of its network.

    Examples
    --------
    >>> import balance_graph as bg
    >>> G = bg.networks.chain(weights=[8.0, 1.0, 0.5])
    >>> G.edges["x0", "h1.0"]["fixed"] = True
    >>> bg.balance(G).constraints
    (Constraint(attribute='fixed', count=1, effect='holds 1 weight'),)
    """

    attribute: str
    count: int
    effect: str


def without_attributes(G: nx.DiGraph[Any], ignore: Collection[str] | str) -> nx.DiGraph[Any]:  # noqa: N803
    """The network with some attributes set to None, which means that they are not there; `G` itself for none."""
    names = checked_names(ignore)
    if not names:
        return G
    result = G.copy()
    for _, data in result.nodes(data=True):
        data.update((name, None) for name in names if name in NODE_ATTRIBUTES and name in data)
    for _, _, data in result.edges(data=True):
        data.update((name, None) for name in names if name in EDGE_ATTRIBUTES and name in data)
    return result


def hint_to_ignore(G: nx.DiGraph[Any], is_valid: Callable[[nx.DiGraph[Any]], bool]) -> str:  # noqa: N803
    """Which attributes an invalid network would be valid without, as the end of a message; nothing if there are none.

    As few of them as possible, of those that it has.
    """
    owners = [data for _, data in G.nodes(data=True)], [data for _, _, data in G.edges(data=True)]
    names = [
        name
        for known, each in zip((NODE_ATTRIBUTES, EDGE_ATTRIBUTES), owners, strict=True)
        for name in known
        if any(data.get(name) is not None for data in each)
    ]
    if not names or not is_valid(without_attributes(G, names)):
        return ""
    for name in tuple(names):
        fewer = [other for other in names if other != name]
        names = fewer if is_valid(without_attributes(G, fewer)) else names
    which = " and ".join(map(repr, names))
    return f"; if {which} mean{'s' * (len(names) == 1)} something else here: {_as_keyword(names)} of balance"


def find_constraints(G: nx.DiGraph[Any], problem: BalanceProblem) -> tuple[Constraint, ...]:  # noqa: N803
    """What the attributes of a network do to its problem, beyond what the graph alone says."""
    return tuple(constraint for constraint in _constraints(G, problem) if constraint.count)


def _constraints(G: nx.DiGraph[Any], problem: BalanceProblem) -> Iterator[Constraint]:  # noqa: N803
    manifold = problem.manifold
    inner = np.isin(np.arange(manifold.n_nodes), manifold.head) & np.isin(np.arange(manifold.n_nodes), manifold.tail)
    pinned = [problem.nodes[k] for k in np.flatnonzero(manifold.pinned & inner).tolist()]
    held = [(node, G.nodes[node].get("role")) for node in pinned]
    outputs = [node for node, role in held if role == "output"]
    others = [node for node, role in held if role != "output"]
    yield Constraint("role", len(outputs), f"pins {_count(len(outputs), 'inner node')}: {_some(outputs)}")
    text = f"pins {_count(len(others), 'node')}, not homogeneous: {_some(others)}"
    yield Constraint("activation", len(others), text)
    scales, nodes = _repeated(None if manifold.group is None else np.where(manifold.pinned, -1, manifold.group))
    yield Constraint("group", nodes, f"ties {_count(nodes, 'node')} to {_count(scales, 'scale')}")
    weighted = int(np.count_nonzero(problem.log_coefficient))
    yield Constraint("coefficient", weighted, f"multiplies the cost of {_count(weighted, 'edge')}")
    own = 0 if problem.exponent is None else int(np.count_nonzero(~np.isnan(problem.exponent)))
    yield Constraint("exponent", own, f"is that of {_count(own, 'edge')}, in place of the regularizer's")
    fixed = 0 if manifold.fixed is None else int(np.count_nonzero(manifold.fixed))
    yield Constraint("fixed", fixed, f"holds {_count(fixed, 'weight')}")
    parameters, edges = _repeated(manifold.shared)
    yield Constraint("shared", edges, f"makes {_count(edges, 'edge')} {_count(parameters, 'parameter')}")


def _repeated(labels: Any) -> tuple[int, int]:
    """Number of labels that two or more carry, and of those who carry them."""
    each = np.bincount(labels[labels >= 0]) if labels is not None else np.zeros(0, dtype=int)
    return int(np.count_nonzero(each > 1)), int(each[each > 1].sum())


def constraint_lines(constraints: Collection[Constraint], ignored: Collection[str]) -> list[str]:
    """What the attributes do, how to leave them out, and which were left out: a line each."""
    lines = [f"{constraint.attribute:<20}{constraint.effect}" for constraint in constraints]
    if constraints:
        lines.append(f"{'':<20}to leave out: {_as_keyword([constraint.attribute for constraint in constraints])}")
    return [*lines, f"{'ignored':<20}{', '.join(ignored)}"] if ignored else lines


def _as_keyword(names: list[str]) -> str:
    return f"ignore={names!r}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _some(nodes: list[Any]) -> str:
    return ", ".join(map(repr, nodes[:5])) + (", ..." if len(nodes) > 5 else "")
