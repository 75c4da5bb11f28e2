"""Equations of the linear manifold along cycles and along directed paths.

Both work on a quotient graph: vertices are numbered, -1 is the ground (all pinned nodes), and every edge carries the
degree of its tail. Along a directed walk ``v0, e1, v1, ..., ek, vk`` of free interior vertices the recursion
``l_head = L + c l_tail`` gives ``l_vk = sum_t (prod of c over v_t .. v_{k-1}) L_t + (prod of all c) l_v0``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Sparse
from balance_graph.errors import TooManyPathsError

Combination = dict[int, float]

GROUND = -1


def _add(target: Combination, source: Combination, factor: float) -> None:
    for key, value in source.items():
        total = target.get(key, 0.0) + factor * value
        if total == 0.0:
            target.pop(key, None)
        else:
            target[key] = total


def _matrix(equations: list[Combination], width: int) -> Sparse:
    indptr = np.cumsum([0, *(len(equation) for equation in equations)])
    indices = np.array([edge for equation in equations for edge in equation], dtype=np.intp)
    values = np.array([value for equation in equations for value in equation.values()], dtype=float)
    return sparse.csr_array((values, indices, indptr), shape=(len(equations), width))


class _Potentials:
    """Log-scales along a spanning forest: each as a combination of log-gains plus a multiple of its root's.

    The root of a component without ground is unknown until a cycle whose gains do not multiply to 1 determines it.
    """

    def __init__(self) -> None:
        self.of: dict[int, Combination] = {GROUND: {}}
        self.root_share: dict[int, float] = {GROUND: 0.0}
        self.root: dict[int, int] = {GROUND: GROUND}

    def extend(self, vertex: int, start: int, edge: int, gain: tuple[float, float]) -> None:
        """``l_vertex = a l_start + b L_edge`` for the gain (a, b)."""
        combination: Combination = {}
        _add(combination, self.of[start], gain[0])
        _add(combination, {edge: gain[1]}, 1.0)
        self.of[vertex] = combination
        self.root_share[vertex] = gain[0] * self.root_share[start]
        self.root[vertex] = self.root[start]

    def settle(self, root: int, value: Combination) -> None:
        """Put in the log-scale of a root that a cycle has determined."""
        for vertex, its_root in self.root.items():
            if its_root == root:
                _add(self.of[vertex], value, self.root_share[vertex])
                self.root_share[vertex] = 0.0


def cycle_equations(tail: Index, head: Index, degree: Array, width: int) -> Sparse:
    """One equation per edge outside a spanning forest of the graph in which -1 is the ground."""
    edges = list(zip(tail.tolist(), head.tolist(), degree.tolist(), strict=True))
    incident: dict[int, list[int]] = {}
    for edge, (a, b, _) in enumerate(edges):
        for vertex in {a, b}:
            incident.setdefault(vertex, []).append(edge)
    potentials, tree = _Potentials(), set()
    for root in [GROUND, *sorted(incident)]:
        if root != GROUND and root in potentials.of:
            continue
        if root != GROUND:
            potentials.of[root], potentials.root_share[root], potentials.root[root] = {}, 1.0, root
        tree |= _grow(root, edges, incident, potentials)
    equations = []
    for edge, (a, b, c) in enumerate(edges):
        if edge not in tree:
            equation = _closing_equation(edge, (a, b, c), potentials)
            if equation is not None:
                equations.append(equation)
    return _matrix(equations, width)


def _grow(
    root: int, edges: list[tuple[int, int, float]], incident: dict[int, list[int]], potentials: _Potentials
) -> set[int]:
    """Breadth-first tree from the root; returns its edges."""
    tree, queue = set(), [root]
    for vertex in queue:
        for edge in incident.get(vertex, ()):
            a, b, c = edges[edge]
            if vertex == a and b not in potentials.of:
                potentials.extend(b, a, edge, (c, 1.0))
                new = b
            elif vertex == b and a not in potentials.of:
                potentials.extend(a, b, edge, (1.0 / c, -1.0 / c))
                new = a
            else:
                continue
            tree.add(edge)
            queue.append(new)
    return tree


def _closing_equation(edge: int, ends: tuple[int, int, float], potentials: _Potentials) -> Combination | None:
    """``L - l_head + c l_tail = 0`` with the log-scales from the forest, or None if it settles a root instead."""
    a, b, c = ends
    equation: Combination = {}
    _add(equation, {edge: 1.0}, 1.0)
    _add(equation, potentials.of[b], -1.0)
    _add(equation, potentials.of[a], c)
    share = c * potentials.root_share[a] - potentials.root_share[b]
    if abs(share) <= 1e-12 * max(1.0, abs(potentials.root_share[b])):
        return equation
    potentials.settle(potentials.root[b], {key: -value / share for key, value in equation.items()})
    return None


def path_equations(tail: Index, head: Index, degree: Array, width: int, max_paths: int) -> Sparse:
    """Equations along directed paths from ground to ground and along directed cycles of free vertices."""
    leaving: dict[int, list[tuple[int, int, float]]] = {}
    for edge, (a, b, c) in enumerate(zip(tail.tolist(), head.tolist(), degree.tolist(), strict=True)):
        leaving.setdefault(a, []).append((edge, b, c))
    equations: list[Combination] = []
    for start in sorted(leaving):
        for walk in _walks(start, leaving, 200 * max_paths):
            # A cycle whose gains multiply to something other than 1 determines its log-scale: no equation of its own.
            if start == GROUND or abs(np.prod([c for _, c in walk]) - 1.0) <= 1e-12:
                equations.append(_walk_equation(walk))
            if len(equations) > max_paths:
                _refuse(max_paths)
    return _matrix(equations, width)


def _refuse(max_paths: int) -> NoReturn:
    message = (
        f"the paths form needs more than {max_paths} directed paths and cycles (or as long a search for them); use "
        "form='cycles' or 'nodes', which describe the same manifold, or raise max_paths"
    )
    raise TooManyPathsError(message)


def _walk_equation(walk: list[tuple[int, float]]) -> Combination:
    equation: Combination = {}
    weight = 1.0
    for edge, degree in reversed(walk):
        equation[edge] = weight
        weight *= degree
    return equation


def _walks(
    start: int, leaving: dict[int, list[tuple[int, int, float]]], max_steps: int
) -> Iterator[list[tuple[int, float]]]:
    """Directed walks (edge, degree of its tail) from start back to start through vertices greater than it, once each.

    From the ground these are the paths between pinned nodes; from a free vertex the cycles of which it is the least.
    """
    walk: list[tuple[int, float]] = []
    visited: set[int] = set()
    stack = [iter(leaving.get(start, ()))]
    vertices: list[int] = []
    steps = 0
    while stack:
        steps += 1
        if steps > max_steps:  # dead ends can be as many as paths
            _refuse(max_steps // 200)
        step = next(stack[-1], None)
        if step is None:
            stack.pop()
            if walk:
                walk.pop()
                visited.discard(vertices.pop())
            continue
        edge, vertex, degree = step
        if vertex == start:
            yield [*walk, (edge, degree)]
        elif vertex > start and vertex not in visited:
            walk.append((edge, degree))
            visited.add(vertex)
            vertices.append(vertex)
            stack.append(iter(leaving.get(vertex, ())))
