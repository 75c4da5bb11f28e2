"""Local balancing near the optimum: exact minimization, coordinate by coordinate, of a quadratic function.

With H the Hessian of the cost at the optimum and ``z_k = sqrt(H_kk) (u_k - u*_k)``, balancing unknown k is, to first
order, ``z_k <- z_k - (K z)_k`` with the unit-diagonal matrix ``K_jk = H_jk / sqrt(H_jj H_kk)``. The steps, and so all
rates, depend on K alone; it is formed from logarithms, so that flows of any size do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from balance_graph._types import Array, Index, Sparse
from balance_graph.errors import InvalidParameterError
from balance_graph.problem.attainment import find_attainment
from balance_graph.problem.balance_problem import BalanceProblem
from balance_graph.problem.log_domain import log_sum_by
from balance_graph.problem.quotient import Quotient
from balance_graph.solvers.conductor import check_problem, solve
from balance_graph.solvers.local.coloring import color_classes
from balance_graph.solvers.local.stochastic import check_tied
from balance_graph.solvers.newton import NewtonSolver

# A rate read off at a relative imbalance r is wrong by about r; far above what solvers leave, far below what matters.
_BALANCED = 1e-4


@dataclass(frozen=True, eq=False)
class LocalModel:
    """The quadratic model of a problem at its optimum, in the unknowns of the local balancer.

    Attributes
    ----------
    quotient : Quotient
        Centered on the optimum.
    matrix : (n, n) sparse array
        K: the Hessian, scaled to unit diagonal.
    log_diagonal : (n,) array
        Logarithms of the diagonal of the Hessian.
    log_side : (n,) array
        Logarithm of the in-cost (at the optimum also degree times the out-cost) of each unknown.
    steepest : float
        Largest relative change of a flow by a unit shift of an unknown: the scale on which the model bends.
    """

    quotient: Quotient
    matrix: Sparse
    log_diagonal: Array
    log_side: Array
    steepest: float

    @property
    def size(self) -> int:
        """Number of unknowns, and of steps in a sweep."""
        return self.log_diagonal.size

    @property
    def dense(self) -> Array:
        """K as a dense matrix."""
        return np.asarray(self.matrix.toarray())

    @property
    def scaling(self) -> Array:
        """``sqrt(H_kk)`` up to a common factor: from a displacement u to z."""
        return np.asarray(np.exp(0.5 * (self.log_diagonal - self.log_diagonal.max(initial=-np.inf))))

    def sequence(self, order: str) -> Index:
        """The unknowns in the order of a deterministic sweep."""
        if order == "colored" and self.size:
            return np.concatenate(color_classes(self.quotient.matrix))
        return np.arange(self.size)

    @cached_property
    def _first(self) -> tuple[Index, Array]:
        """One node of each unknown, and its log-scale at unit displacement."""
        columns = sparse.csc_array(self.quotient.problem.manifold.basis)[:, self.quotient.unknowns]
        return columns.indices[columns.indptr[:-1]], columns.data[columns.indptr[:-1]]

    def displacements(self, log_scales: Array) -> Array:
        """The displacements u from the optimum, one row for each row of log-scales of all nodes."""
        node, ratio = self._first  # where unknowns are tied nodes, each of them alone tells the unknown
        return np.asarray((log_scales - self.quotient.center)[:, node] / ratio)


def local_model(problem: BalanceProblem, log_scales: Array | None = None) -> LocalModel:
    """The quadratic model at the optimum, which is computed where it is not given."""
    check_problem(problem, "a rate")
    find_attainment(problem).raise_if_not_attained(can_prune=False)
    if log_scales is None:
        log_scales = solve(problem, NewtonSolver(tol=1e-14)).log_scales
    log_scales = problem.checked_log_scales(log_scales, "log_scales")
    check_tied(problem)
    imbalance = problem.relative_imbalance(log_scales)
    if imbalance > _BALANCED:
        message = (
            f"log_scales: the relative imbalance there is {imbalance:.2g}, but rates are those at the optimum; "
            "pass bg.solve(problem).log_scales, or None to have it computed"
        )
        raise InvalidParameterError(message)
    return _model(Quotient(problem, log_scales, live=problem.active))


def _model(quotient: Quotient) -> LocalModel:
    entries = quotient.matrix.tocoo()
    size = np.log(np.abs(entries.data))
    log_slopes, ratio = quotient.log_slopes(np.zeros(quotient.size))
    with np.errstate(divide="ignore"):
        log_curvature = log_slopes + np.log(ratio)
    log_diagonal = log_sum_by(entries.col, 2.0 * size + log_curvature[entries.row], quotient.size)
    # Each entry of this matrix is at most 1: its columns have unit length.
    values = np.sign(entries.data) * np.exp(size + 0.5 * (log_curvature[entries.row] - log_diagonal[entries.col]))
    root = sparse.csr_array((values, (entries.row, entries.col)), shape=quotient.matrix.shape)
    into = entries.data > 0
    log_side = log_sum_by(entries.col[into], (size + log_slopes[entries.row])[into], quotient.size)
    steepest = float(np.abs(ratio[entries.row] * entries.data).max(initial=0.0))
    return LocalModel(quotient, sparse.csr_array(root.T @ root), log_diagonal, log_side, steepest)
