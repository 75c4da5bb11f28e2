"""Where to draw nodes: in layers, or by springs between inputs and outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np

from balance_graph._types import Array
from balance_graph.graph.compilation import roles_of
from balance_graph.problem.balance_problem import BalanceProblem


def positions_of(G: nx.DiGraph[Any], problem: BalanceProblem) -> Array:  # noqa: N803
    """X and y of every node, shape (n, 2)."""
    if not len(G):
        return np.zeros((0, 2))
    roles = list(roles_of(G).values())
    if nx.is_directed_acyclic_graph(G):
        return _in_columns(_layers(G, roles), problem)
    return _with_springs(G, roles, problem)


def _layers(G: nx.DiGraph[Any], roles: Sequence[str]) -> list[list[int]]:  # noqa: N803
    """Topological generations; inputs and biases are the first, outputs the last."""
    index = {node: k for k, node in enumerate(G)}
    level = {index[node]: k for k, nodes in enumerate(nx.topological_generations(G)) for node in nodes}
    last = max(level.values())
    for k, role in enumerate(roles):
        level[k] = {"input": 0, "bias": 0, "output": last}.get(role, level[k])
    return [[k for k in range(len(G)) if level[k] == layer] for layer in range(last + 1)]


def _in_columns(layers: list[list[int]], problem: BalanceProblem) -> Array:
    """Columns of equal distance; each node near the mean height of what feeds it, so that fewer edges cross."""
    manifold = problem.manifold
    place = np.zeros((problem.n_nodes, 2))
    widest = max(map(len, layers))
    for column, nodes in enumerate(layers):
        if not nodes:
            continue
        heights = (
            [_mean_height(place, manifold.tail[manifold.head == k]) for k in nodes] if column else [0.0] * len(nodes)
        )
        order = np.argsort(-np.round(heights, 9), kind="stable")
        # Between equal distances and equal columns: short layers neither shrink to a knot nor tear apart.
        half = (len(nodes) / widest) ** 0.3 if len(nodes) > 1 else 0.0
        place[np.array(nodes)[order]] = np.column_stack(
            [np.full(len(nodes), float(column)), np.linspace(half, -half, len(nodes))]
        )
    return place


def _mean_height(place: Array, tails: Array) -> float:
    return float(place[tails, 1].mean()) if tails.size else -1.0


def _with_springs(G: nx.DiGraph[Any], roles: Sequence[str], problem: BalanceProblem) -> Array:  # noqa: N803
    """Hidden nodes by springs, inputs and biases in a column on the left, outputs on the right."""
    inner = [k for k, role in enumerate(roles) if role == "hidden"]
    numbered = nx.relabel_nodes(G, {node: k for k, node in enumerate(G)}).to_undirected()
    wide = 2.5 / math.sqrt(max(len(inner), 1))
    springs = nx.spring_layout(numbered.subgraph(inner), k=wide, iterations=200, weight=None, seed=0)
    place = np.zeros((problem.n_nodes, 2))
    place[inner] = [springs[k] for k in inner]
    for chosen, x in (({"input", "bias"}, -1.7), ({"output"}, 1.7)):
        side = [k for k, role in enumerate(roles) if role in chosen]
        if side:
            half = min(1.0, 0.3 * (len(side) - 1))
            place[side] = np.column_stack([np.full(len(side), x), np.linspace(half, -half, len(side))])
    return place
