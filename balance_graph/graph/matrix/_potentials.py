"""Potentials on a graph that bring every coupling as close to 1 as all of them together allow."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Sparse
from balance_graph.errors import SolverError
from balance_graph.linear.factorization import factorize

# Between the rounding of sums of couplings, 1e-16, which must not move one too weak for those sums to tell, and 1, the
# curvature of couplings that count.
_FAINT = 1e-4
# A full step of Newton leaves about the square of its length: after one this short only rounding is left.
_SHORT = 1e-8
# Exponents grow at most twofold from one stage to the next, so that a few iterations do for each.
_GROWTH = 2.0
_MOST_ITERATIONS = 500
# From a z above this, each step of Newton's takes off about 1: to begin anew is sooner done.
_NEAR = 10.0
# Share of the decrease that the slope promises.
_SUFFICIENT = 0.1
# Above this size a graph without small separators fills a factorization; conjugate gradients then need few steps. What
# they leave is multiplied by the length of a step, of which the last is short.
_MOST_FACTORIZED, _RESIDUAL, _MOST_STEPS = 3000, 1e-9, 3000
# No step may bring a coupling beyond e^this: its cost would drown all others.
_HIGHEST = 50.0


def log_potentials(
    tail: Index, head: Index, log_coupling: Array, ground: Index, size: int, start: Array | None = None
) -> Array:
    """The potentials t of least ``sum of exp(z) - z + 1e-4 z^2 / 2`` with ``z = log_coupling + t[tail] - t[head]``.

    The function is convex and has a minimum, unique up to a constant in each part, since it grows in either direction
    of every z. Where couplings contradict one another some become so weak that rounding of the others would decide
    about them: there the last term does. Newton's steps, halved at most to ``log(1 + d) / d`` of their length (d: the
    largest increase of a z): so short, they lower a function whose third derivative is at most its second, from
    wherever they start (Sun and Tran-Dinh, Math. Program. 178, 2019). Without a start that is near, the first one is
    the solution for a small exponent, where the function is all but quadratic, and exponents grow from there.

    Parameters
    ----------
    tail, head : (q,) integer arrays
    log_coupling : (q,) array
    ground : integer array
        One node of each part: its potential is 0.
    size : int
        Number of nodes.
    start : (size,) array, optional
        Potentials near the solution; others are not made use of.
    """
    graph = _Graph(tail, head, ground, size)
    surplus = graph.net(np.ones(tail.size))
    t, exponent = start, 1.0
    if t is None or (log_coupling + graph.change(t)).max(initial=0.0) > _NEAR:
        t = graph.newton(graph.net(log_coupling), np.ones(tail.size))
        exponent = 1.0 / max(1.0, float(np.abs(log_coupling + graph.change(t)).max(initial=0.0)))
    for _ in range(_MOST_ITERATIONS):
        z = exponent * (log_coupling + graph.change(t))
        weight = np.exp(z)
        step = graph.newton(graph.net(weight + _FAINT * z) - surplus, weight + _FAINT)
        change = graph.change(step)
        t = t + step / exponent * _length(z, change)
        furthest = float(np.abs(change).max(initial=0.0))
        if exponent == 1.0 and furthest <= _SHORT:
            return t
        if furthest <= 1.0:
            exponent = min(1.0, _GROWTH * exponent)
    message = f"balance_matrix: the factors between {size} blocks were not found in {_MOST_ITERATIONS} iterations"
    raise SolverError(message)


def _length(z: Array, change: Array) -> float:
    """A multiple of a Newton step that lowers the function."""
    increase = float(change.max(initial=0.0))
    if increase <= _SHORT:
        return 1.0
    certain = float(np.log1p(increase)) / increase
    slope = float(change @ (np.expm1(z) + _FAINT * z))
    length = 1.0
    while length > certain:
        moved = length * change
        if (z + moved).max() <= max(_HIGHEST, z.max()):
            gain = float(np.sum(np.exp(z) * np.expm1(moved) - moved + _FAINT * moved * (z + 0.5 * moved)))
            if gain <= _SUFFICIENT * length * slope:
                return length
        length *= 0.5
    return certain


class _Graph:
    """Edges between nodes, of which some are grounded."""

    def __init__(self, tail: Index, head: Index, ground: Index, size: int) -> None:
        self._tail, self._head, self._size = tail, head, size
        self._free = np.setdiff1d(np.arange(size), ground)

    def change(self, t: Array) -> Array:
        """What potentials add to each edge."""
        return t[self._tail] - t[self._head]

    def net(self, flow: Array) -> Array:
        """Flow out of each node less flow into it."""
        out_of, into = np.bincount(self._tail, flow, self._size), np.bincount(self._head, flow, self._size)
        return np.subtract(out_of, into, dtype=np.float64)

    def newton(self, gradient: Array, curvature: Array) -> Array:
        """The step of least ``gradient @ step + sum of curvature d^2 / 2`` over changes d of the edges."""
        free, tail, head = self._free, self._tail, self._head
        total = np.bincount(tail, curvature, self._size) + np.bincount(head, curvature, self._size)
        unit = 1.0 / np.sqrt(np.where(total > 0.0, total, 1.0))
        beside = sparse.coo_array((curvature * unit[tail] * unit[head], (tail, head)), shape=(self._size,) * 2)
        matrix = sparse.csr_array(sparse.eye_array(self._size) - beside - beside.T)
        step = np.zeros(self._size)
        step[free] = -unit[free] * _solution(matrix[free][:, free], (unit * gradient)[free])
        return step


def _solution(matrix: Sparse, right: Array) -> Array:
    """The solution with a symmetric positive definite matrix of unit diagonal, to the digits that a step needs."""
    if right.size > _MOST_FACTORIZED:
        from scipy.sparse.linalg import cg

        return np.asarray(cg(matrix, right, rtol=_RESIDUAL, maxiter=_MOST_STEPS)[0])
    solve = factorize(matrix)
    if solve is None:
        message = "balance_matrix: the factors between blocks drown in rounding; balance the blocks one by one"
        raise SolverError(message)
    return solve(right)
