"""The quotient of a problem: the network of its unknowns, and the way there and back.

What cannot matter is dropped (zero and dead weights, rows that no scale moves), the gauges are held, and log-scales
are counted from a center: the unknowns u are displacements, ``l = center + T u``, and the rows cost ``phi(L0 + A u)``.
Everything is made when first asked for: a method that works on edge lists never forms the matrix A.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Mask, Sparse
from balance_graph.problem.attainment import Attainment, find_attainment, prune
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.elimination import gauge_columns
from balance_graph.problem.log_domain import log_sum
from balance_graph.problem.rows import Rows
from balance_graph.problem.solution import State


class _Moving(NamedTuple):
    """The rows that some unknown moves, and what else is live."""

    rows: Rows
    base: Array
    matrix: Sparse
    unknowns: Index
    gauges: Index
    log_constant: float


@dataclass(frozen=True, eq=False)
class Quotient:
    """Minimize ``sum of phi_t(base_t + (A u)_t)`` over u; A has full column rank.

    Attributes
    ----------
    given : BalanceProblem
        The problem as it was given.
    center : (n_nodes,) array
        Log-scales at u = 0; they obey the ties.
    prunes : bool
        What becomes of dead edges: dropped, or refused.
    live : (n_edges,) boolean array or None
        The edges that count, if that is known already.
    preference : array over the columns of T, or None
        Where a gauge leaves a choice, the unknown of largest preference is held; by default the first.
    is_given_start : bool
        Whether the center was asked for as the start; else a solver may start where it likes.
    """

    given: BalanceProblem
    center: Array
    prunes: bool = False
    live: Mask | None = None
    preference: Array | None = None
    is_given_start: bool = False

    def centered(self, center: Array, preference: Array | None = None) -> Quotient:
        """The same problem around other log-scales."""
        other = replace(self, center=center, preference=preference)
        for name in {"attainment", "problem"} & vars(self).keys():
            vars(other)[name] = vars(self)[name]
        return other

    def tempered(self, temperature: float, center: Array) -> Quotient:
        """The network of the unknowns with weights and coefficients to a power, around log-scales of its own.

        What no scale moves does not count there.
        """
        if temperature == 1.0:
            return self.centered(center)
        other, moving = self.centered(center, self.preference), self._moving
        base = self.problem.log_gains(center)[moving.rows.edge]
        vars(other)["_moving"] = moving._replace(
            rows=moving.rows.tempered(temperature), base=base, log_constant=-np.inf
        )
        return other

    @cached_property
    def attainment(self) -> Attainment:
        """Whether the problem as given has a minimum."""
        return find_attainment(self.given)

    @cached_property
    def problem(self) -> BalanceProblem:
        """The problem without its dead edges.

        Raises
        ------
        NotAttainedError
            If there are some, and they are not to be pruned.
        """
        if self.live is not None:
            return self.given
        if not self.prunes:
            self.attainment.raise_if_not_attained()
        return prune(self.given, self.attainment)

    @cached_property
    def _moving(self) -> _Moving:
        problem = self.problem
        rows, matrix = problem.rows, problem.manifold.reduced_incidence
        base = problem.log_gains(self.center)
        alive = (problem.active if self.live is None else self.live)[rows.edge]
        moves = alive & (np.diff(matrix.indptr)[rows.edge] > 0)
        constant, rows = rows.take(alive & ~moves), rows.take(moves)
        moved = np.zeros(problem.n_edges, dtype=bool)
        moved[rows.edge] = True
        if self.preference is None and moved.all():
            gauges = problem.manifold.gauges
        else:
            gauges = gauge_columns(matrix if moved.all() else matrix[np.flatnonzero(moved)], self.preference)
        unknowns = np.setdiff1d(np.arange(matrix.shape[1]), gauges)
        return _Moving(
            rows=rows,
            base=base[rows.edge],
            matrix=_select(matrix, rows.edge, unknowns),
            unknowns=unknowns,
            gauges=gauges,
            log_constant=log_sum(constant.log_costs(base[constant.edge])),
        )

    @property
    def rows(self) -> Rows:
        """The rows that some unknown moves."""
        return self._moving.rows

    @property
    def base(self) -> Array:
        """Their log-gains at u = 0."""
        return self._moving.base

    @property
    def matrix(self) -> Sparse:
        """The matrix A, shape (n_rows, size)."""
        return self._moving.matrix

    @property
    def unknowns(self) -> Index:
        """Column of the basis T of the manifold for each unknown: all but the gauges."""
        return self._moving.unknowns

    @property
    def gauges(self) -> Index:
        """Columns of T held at zero because no live log-gain depends on them."""
        return self._moving.gauges

    @property
    def log_constant(self) -> float:
        """Logarithm of the cost of the live rows that nothing moves."""
        return self._moving.log_constant

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.unknowns.size

    @property
    def has_nothing_to_scale(self) -> bool:
        """Whether no scale moves anything; known only once the rows have been looked at."""
        return "_moving" in vars(self) and self.size == 0

    def expand(self, displacement: Array) -> Array:
        """Log-scales of all nodes at the displacement u."""
        basis = self.problem.manifold.basis
        full = np.zeros(basis.shape[1])
        full[self.unknowns] = displacement
        return np.asarray(self.center + basis @ full)

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

    def state(self, log_scales: Array) -> State:
        """The network at log-scales of all nodes, measured from the weights as given."""
        return State(
            log_cost=self.problem.log_cost(log_scales),
            relative_imbalance=self.problem.relative_imbalance(log_scales),
            dead=np.flatnonzero(self.given.active & ~self.problem.active),
            gauges=self._gauge_nodes(),
        )

    def _gauge_nodes(self) -> Index:
        """One node of each group that has live edges, none of which depends on a common scale of the group."""
        manifold = self.problem.manifold
        touched = manifold.touched(self.problem.active)
        columns = manifold.basis.tocsc()
        first = columns.indices[columns.indptr[self.gauges]]
        nodes: Index = first[touched[first]]
        return nodes


def _select(matrix: Any, rows: Index, columns: Index) -> Sparse:
    if rows.size != matrix.shape[0] or not np.array_equal(rows, np.arange(rows.size)):
        matrix = matrix[rows]
    return sparse.csr_array(matrix if columns.size == matrix.shape[1] else matrix[:, columns])
