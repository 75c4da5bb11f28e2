"""``inspect FILE``."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import balance_graph as bg
from balance_graph.cli._answer import DONE, NO, Answer, Document
from balance_graph.cli._options import add_command, add_ignore, add_network, as_options, read_file, weight_name
from balance_graph.cli._report import (
    attainment_document,
    certificate_document,
    constraints_document,
    count,
    dead_lines,
    finite,
    plain_node,
    reasons_document,
    some,
)

if TYPE_CHECKING:
    import networkx as nx

# Solvers reach about 1e-12; weights that went through text with few digits stay far above this.
_BALANCED = 1e-9


def add_inspect(commands: Any) -> None:
    """The sub-command."""
    text = "tell the roles, the balance, whether the minimum is attained, what cannot be scaled and why"
    command = add_command(commands, "inspect", _inspect, text)
    add_network(command)
    add_ignore(command)


def _inspect(arguments: argparse.Namespace) -> Answer:
    from balance_graph.graph.compilation import compile_graph
    from balance_graph.graph.constraints import constraint_lines, find_constraints, without_attributes

    p, weight = arguments.p, weight_name(arguments)
    network = without_attributes(read_file(arguments, arguments.file), arguments.ignore)
    problem = compile_graph(network, p, weight=weight)
    found = bg.attainment(network, p, weight=weight)
    held, gauges = _unscalable(network, problem), _gauge_nodes(problem)
    constraints = find_constraints(network, problem)
    document: Document = {
        "file": arguments.file,
        "p": p,
        **_counts(network, problem),
        **constraints_document(constraints, arguments.ignore),
        "unscalable": reasons_document(held),
        "dimension": problem.manifold.dimension,
        "gauge_nodes": [plain_node(node) for node in gauges],
        **_balance_document(problem),
        "certificate": certificate_document(bg.certify(network, p, weight=weight)),
        **attainment_document(found),
        "unique": found.unique,
    }
    lines = [
        *_count_lines(document),
        *map(as_options, constraint_lines(constraints, arguments.ignore)),
        *_held_lines(held),
        f"manifold            dimension {document['dimension']}, {_gauge_text(gauges)}",
        *_balance_lines(document),
        f"attained            {'yes' if found.attained else 'no'}; log-scales {'' if found.unique else 'not '}unique",
    ]
    return (DONE, document, lines) if found.attained else (NO, document, [*lines, *dead_lines(found)])


# ---- sizes ---------------------------------------------------------------------------------------------------------


def _counts(network: nx.DiGraph[Any], problem: bg.BalanceProblem) -> Document:
    import numpy as np

    from balance_graph.graph.compilation import node_activation, roles_of

    at, roles = problem.manifold, roles_of(network)
    units = [node for node, role in roles.items() if role in ("hidden", "output")]
    names = Counter(str(node_activation(network.nodes[node], node)) for node in units)
    each = Counter(roles.values())
    return {
        "nodes": problem.n_nodes,
        "edges": problem.n_edges,
        "zero_edges": problem.n_edges - int(np.count_nonzero(problem.active)),
        "roles": {role: each[role] for role in ("input", "bias", "hidden", "output")},
        "activations": dict(names.most_common()),
        "free_nodes": int(at.free_nodes.size),
        "tied_groups": _repeated(None if at.group is None else np.where(at.pinned, -1, at.group)),
        "fixed_edges": 0 if at.fixed is None else int(np.count_nonzero(at.fixed)),
        "shared_parameters": _repeated(at.shared),
    }


def _repeated(labels: Any) -> int:
    """Number of labels that two or more carry."""
    import numpy as np

    return 0 if labels is None else int(np.count_nonzero(np.bincount(labels[labels >= 0]) > 1))


def _count_lines(document: Document) -> list[str]:
    roles = ", ".join(f"{number} {role}" for role, number in document["roles"].items() if number)
    functions = ", ".join(f"{name} {number}" for name, number in document["activations"].items())
    kinds = ("zero_edges", "of weight 0"), ("fixed_edges", "fixed"), ("shared_parameters", "shared parameters")
    special = ", ".join(f"{document[key]} {text}" for key, text in kinds if document[key])
    groups = document["tied_groups"]
    return [
        f"nodes               {document['nodes']}: {roles}",
        f"activations         {functions or 'none'}",
        f"edges               {document['edges']}" + (f" ({special})" if special else ""),
        f"free nodes          {document['free_nodes']}" + (f", {count(groups, 'group')} of tied nodes" * bool(groups)),
    ]


# ---- what scaling can do -------------------------------------------------------------------------------------------


def _unscalable(network: nx.DiGraph[Any], problem: bg.BalanceProblem) -> list[tuple[Hashable, str]]:
    """Every node whose scale is held at 1, with the reason."""
    import numpy as np

    from balance_graph.graph.compilation import node_activation, roles_of

    at, roles = problem.manifold, roles_of(network)
    moved = np.zeros(problem.n_nodes, dtype=bool)
    moved[at.basis.tocoo().row] = True
    reasons = []
    for k, node in enumerate(network):
        if roles[node] != "hidden":
            reasons.append((node, f"its role is {roles[node]}"))
        elif at.pinned[k]:
            reasons.append((node, f"its activation {node_activation(network.nodes[node], node)} is not homogeneous"))
        elif not moved[k]:
            reasons.append((node, "fixed edges or shared weights hold it"))
    return reasons


def _held_lines(held: list[tuple[Hashable, str]]) -> list[str]:
    groups: dict[str, list[Hashable]] = {}
    for node, reason in held:
        groups.setdefault(reason, []).append(node)
    return [f"cannot be scaled    {len(nodes)}, {reason}: {some(nodes)}" for reason, nodes in groups.items()]


def _gauge_nodes(problem: bg.BalanceProblem) -> list[Hashable]:
    """One node of each group that can be scaled together without changing a weight."""
    return [_first_node(problem, unknown) for unknown in problem.manifold.gauges.tolist()]


def _first_node(problem: bg.BalanceProblem, unknown: int) -> Hashable:
    """The first of the nodes that move with an unknown of the manifold."""
    columns = problem.manifold.basis.tocsc()
    node: Hashable = problem.nodes[columns.indices[columns.indptr[unknown]]]
    return node


def _gauge_text(nodes: list[Hashable]) -> str:
    return f"{count(len(nodes), 'gauge')} at {some(nodes)}" if nodes else "no gauge"


# ---- balance -------------------------------------------------------------------------------------------------------


def _balance_document(problem: bg.BalanceProblem) -> Document:
    import numpy as np

    zeros = np.zeros(problem.n_nodes)
    each = problem.relative_imbalances(zeros)
    largest = float(each.max(initial=0.0))
    return {
        "cost": finite(problem.cost(zeros)),
        "log_cost": finite(problem.log_cost(zeros)),
        "relative_imbalance": largest,
        "worst_node": plain_node(_first_node(problem, int(np.argmax(each)))) if each.size else None,
        "balanced": largest <= _BALANCED,
    }


def _balance_lines(document: Document) -> list[str]:
    cost, gap = document["cost"], document["certificate"]["relative_gap"]
    shown = f"{cost:.12g}" if cost is not None else f"exp({document['log_cost']})"
    verdict = "balanced" if document["balanced"] else f"largest at node {document['worst_node']!r}"
    share = f"{gap:.2%}" if gap >= 1e-3 else f"{gap:.2g} of itself"
    return [
        f"cost (p = {document['p']:g})".ljust(19) + f" {shown}",
        f"relative imbalance  {document['relative_imbalance']:.3g}, {verdict}",
        f"certified           scaling can lower the cost by at most {share}",
    ]
