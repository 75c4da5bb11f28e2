"""From a balance problem to its strictly convex core, and back.

The reduction drops what cannot matter (zero and dead weights, rows that no scale moves), fixes the gauges, and centers
on given log-scales: its unknowns u are displacements, ``l = l0 + T u``, and its rows cost ``phi(L0 + A u)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Mask, Sparse
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.elimination import gauge_columns
from balance_graph.problem.log_domain import log_sum
from balance_graph.problem.rows import Rows


@dataclass(frozen=True, eq=False)
class Reduction:
    """The core problem: minimize ``sum of phi_t(base_t + (A u)_t)`` over u; A has full column rank.

    Attributes
    ----------
    problem : BalanceProblem
    center : (n_nodes,) array
        Log-scales at u = 0.
    rows : Rows
        The rows that some unknown moves.
    base : (n_rows,) array
        Their log-gains at u = 0.
    matrix : (n_rows, n_unknowns) sparse array
        A.
    unknowns : integer array
        Column of the basis T of the manifold for each unknown: all but the gauges.
    gauges : integer array
        Columns of T held at zero because no live log-gain depends on them.
    log_constant : float
        Logarithm of the cost of the live rows that nothing moves.
    """

    problem: BalanceProblem
    center: Array
    rows: Rows
    base: Array
    matrix: Sparse
    unknowns: Index
    gauges: Index
    log_constant: float

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.unknowns.size

    def expand(self, displacement: Array) -> Array:
        """Log-scales of all nodes at the displacement u."""
        full = np.zeros(self.problem.manifold.basis.shape[1])
        full[self.unknowns] = displacement
        return np.asarray(self.center + self.problem.manifold.basis @ full)

    def log_gains(self, displacement: Array) -> Array:
        """Log-gain of each row at u."""
        return np.asarray(self.base + self.matrix @ displacement)

    def log_cost(self, displacement: Array) -> float:
        """Logarithm of the cost of the live rows, the constant ones included."""
        moving = log_sum(self.rows.log_costs(self.log_gains(displacement)))
        return float(np.logaddexp(moving, self.log_constant))

    def log_slopes(self, displacement: Array) -> tuple[Array, Array]:
        """Logarithm of each row's slope, and its ratio of curvature to slope."""
        return self.rows.log_slopes(self.log_gains(displacement))


def reduce_problem(
    problem: BalanceProblem, live: Mask, center: Array | None = None, preference: Array | None = None
) -> Reduction:
    """The core of a problem on its live edges, centered on log-scales that obey the ties (default: all zero).

    Where a gauge leaves a choice, the unknown of largest `preference` is held.
    """
    center = np.zeros(problem.n_nodes) if center is None else center
    rows = problem.rows
    base = problem.log_gains(center)
    matrix = problem.manifold.reduced_incidence
    alive = live[rows.edge]
    moving = alive & (np.diff(matrix.indptr)[rows.edge] > 0)
    constant = rows.take(alive & ~moving)
    rows = rows.take(moving)
    moved = np.zeros(problem.n_edges, dtype=bool)
    moved[rows.edge] = True
    gauges = gauge_columns(matrix if moved.all() else matrix[np.flatnonzero(moved)], preference)
    unknowns = np.setdiff1d(np.arange(matrix.shape[1]), gauges)
    return Reduction(
        problem=problem,
        center=center,
        rows=rows,
        base=base[rows.edge],
        matrix=_select(matrix, rows.edge, unknowns),
        unknowns=unknowns,
        gauges=gauges,
        log_constant=log_sum(constant.log_costs(base[constant.edge])),
    )


def _select(matrix: Any, rows: Index, columns: Index) -> Sparse:
    if rows.size != matrix.shape[0] or not np.array_equal(rows, np.arange(rows.size)):
        matrix = matrix[rows]
    return sparse.csr_array(matrix if columns.size == matrix.shape[1] else matrix[:, columns])
